"""Valid Zipkin spans; a test names only the fields it is about."""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from clew_collector.model import Value
from clew_collector.wire.attributes import plain_value
from clew_collector.wire.zipkin.model import ZipkinSpan
from clew_collector.wire.zipkin.to_otlp import encode_export_request

T0_US = 1_790_000_000_000_000
TRACE_64 = "5aab74dbb904746b"
TRACE = TRACE_64.zfill(32)
SPAN = "05e3ac9a4f6e3b90"
NOW_NS = 1_800_000_000_000_000_000


def a_span(**fields: Any) -> dict[str, Any]:
    """A v2 span; a field given as `None` is left out."""
    span = {
        "traceId": TRACE_64,
        "id": SPAN,
        "kind": "SERVER",
        "name": "get /stock",
        "timestamp": T0_US,
        "duration": 5_000,
        "localEndpoint": {"serviceName": "stock"},
        **fields,
    }
    return {name: value for name, value in span.items() if value is not None}


def body_of(*spans: Mapping[str, Any]) -> bytes:
    """Spans as they are posted in JSON."""
    return orjson.dumps(spans)


def in_otlp(spans: Iterable[ZipkinSpan]) -> list[tuple[str, Span]]:
    """The service and the OTLP span of each."""
    return [
        (str(attributes_of(group.resource).get("service.name", "")), span)
        for group in encode_export_request(spans, now_ns=NOW_NS).resource_spans
        for scope in group.scope_spans
        for span in scope.spans
    ]


def attributes_of(owner: Any) -> dict[str, Value]:
    """Attributes of a resource, a span or an event."""
    return {attribute.key: plain_value(attribute.value) for attribute in owner.attributes}
