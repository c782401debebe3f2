"""A request around a call, and the spans that a collector got of the call."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry import baggage, context
from opentelemetry.proto.trace.v1.trace_pb2 import Span

import clew
from tests.instrumentation.fake_collector import FakeCollector, attributes_of


@contextmanager
def a_request(correlation_id: str = "r-1") -> Iterator[None]:
    token = context.attach(baggage.set_baggage("correlation.id", correlation_id))
    try:
        with clew.get_tracer("test").start_as_current_span("handler"):
            yield
    finally:
        context.detach(token)


def client_spans(collector: FakeCollector) -> list[Span]:
    assert clew.flush()
    return [span for span in collector.spans if span.kind == Span.SPAN_KIND_CLIENT]


def the_span(collector: FakeCollector) -> tuple[Span, dict[str, Any]]:
    (span,) = client_spans(collector)
    return span, attributes_of(span.attributes)


def resend_counts(collector: FakeCollector) -> list[int]:
    """Of each client span in its order; 0 where there is none."""
    return [attributes_of(span.attributes).get("http.request.resend_count", 0) for span in client_spans(collector)]
