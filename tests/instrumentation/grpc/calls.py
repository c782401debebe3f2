"""What a collector got about calls over gRPC."""

from typing import Any

from opentelemetry.proto.trace.v1.trace_pb2 import Span

import clew
from tests.instrumentation.fake_collector import FakeCollector, attributes_of
from tests.instrumentation.grpc.servers import SERVICE
from tests.instrumentation.messaging.observed import eventually

CLIENT = Span.SPAN_KIND_CLIENT
SERVER = Span.SPAN_KIND_SERVER


def path(method: str) -> str:
    return f"/{SERVICE}/{method}"


def spans_of(collector: FakeCollector, kind: int) -> list[Span]:
    clew.flush()
    return [span for span in collector.spans if span.kind == kind]


def one(collector: FakeCollector, kind: int) -> Span:
    """The only span of a kind, as soon as it has come."""
    (span,) = several(collector, kind, 1)
    return span


def several(collector: FakeCollector, kind: int, count: int) -> list[Span]:
    """Exactly so many spans of a kind, as soon as they have come."""
    eventually(lambda: len(spans_of(collector, kind)) >= count)
    spans = spans_of(collector, kind)
    assert len(spans) == count
    return spans


def served(collector: FakeCollector) -> Span:
    return one(collector, SERVER)


def called(collector: FakeCollector) -> Span:
    return one(collector, CLIENT)


def attributes(span: Span) -> dict[str, Any]:
    return attributes_of(span.attributes)


def status_code(span: Span) -> str:
    return str(attributes(span)["rpc.response.status_code"])


def log_ids(collector: FakeCollector, body: str) -> set[tuple[bytes, bytes, str]]:
    """Trace, span and correlation ID of the log lines of this text."""
    clew.flush()
    return {
        (line.trace_id, line.span_id, str(attributes_of(line.attributes)["correlation.id"]))
        for line in collector.logs
        if line.body.string_value == body
    }


def metadata_of(pairs: Any, name: str) -> list[Any]:
    return [value for key, value in pairs or () if key == name]
