"""What a collector got about messages."""

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

import clew
from clew.runtime import RUNTIME
from tests.instrumentation.fake_collector import DEADLINE_S, FakeCollector, attributes_of

PRODUCER = Span.SPAN_KIND_PRODUCER
CONSUMER = Span.SPAN_KIND_CONSUMER

AWKWARD_HEADERS: list[Any] = [
    {},
    {"traceparent": "nonsense", "X-Request-ID": "with spaces in it", "baggage": "="},
    {"traceparent": b"\xff\xfe", "X-Request-ID": b"\xff"},
    {"traceparent": 17, "X-Request-ID": None, "baggage": True, "tracestate": {"a": ["b"]}},
    {"traceparent": "0" * 20_000, "X-Request-ID": "x" * 20_000, "baggage": "a=b," * 5_000},
]
"""Headers of which nothing can be made: not valid, of other types, huge."""

FOREIGN = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01", "X-Request-ID": "theirs", "tracestate": "v=1"}
"""Headers of a sender that is not instrumented by clew."""

awkward = pytest.mark.parametrize("headers", AWKWARD_HEADERS, ids=["none", "invalid", "bytes", "types", "huge"])


def a_name(kind: str = "orders") -> str:
    """Of a queue that no other test uses."""
    return f"{kind}-{uuid.uuid4().hex[:8]}"


@contextmanager
def clew_off() -> Iterator[None]:
    """A part of this process that knows nothing of clew: another service."""
    RUNTIME.enabled = False
    yield
    RUNTIME.enabled = True


def eventually(condition: Callable[[], Any]) -> Any:
    """The first true answer; fails after a deadline."""
    end_s = time.monotonic() + DEADLINE_S
    while not (found := condition()):
        assert time.monotonic() < end_s, "what the test waits for did not happen"
        time.sleep(0.01)
    return found


def spans_of_kind(collector: FakeCollector, kind: int) -> list[Span]:
    """In the order in which they began."""
    assert clew.flush()
    return sorted((span for span in collector.spans if span.kind == kind), key=lambda span: span.start_time_unix_nano)


def produced(collector: FakeCollector) -> Span:
    """The one span of sending."""
    (span,) = spans_of_kind(collector, PRODUCER)
    return span


def consumed(collector: FakeCollector) -> Span:
    """The one span of processing."""
    (span,) = spans_of_kind(collector, CONSUMER)
    return span


def correlation_id_of(span: Span) -> str:
    return str(attributes_of(span.attributes)["correlation.id"])


def assert_continues(consumer: Span, producer: Span) -> None:
    """The consumer's span is in the producer's trace and request, under its span and linked to it."""
    assert consumer.trace_id == producer.trace_id
    assert consumer.parent_span_id == producer.span_id
    assert [link.span_id for link in consumer.links] == [producer.span_id]
    assert correlation_id_of(consumer) == correlation_id_of(producer)


def assert_is_a_root(span: Span) -> None:
    assert span.parent_span_id == b""
    assert correlation_id_of(span)


def assert_names_its_sender_only(span: Span) -> None:
    """What is left of a sender who is not trusted: a link."""
    assert span.trace_id.hex() != "a" * 32
    assert span.parent_span_id == b""
    assert [link.trace_id.hex() for link in span.links] == ["a" * 32]
    assert correlation_id_of(span) != "theirs"
