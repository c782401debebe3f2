"""One request cut into several, so that all spans of a trace are in the one that its ID belongs to."""

from collections.abc import Callable
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from clew_collector.wire.otlp.payload import parse


def split_by_trace(body: bytes, share_of: Callable[[bytes], int]) -> dict[int, bytes]:
    """The spans of a body by what `share_of` makes of their trace IDs; nothing else of it changes, nor their order.

    A body that is one share as a whole keeps its bytes. A step in Python a span.
    """
    request: Any = parse("traces", body)
    shares = [
        share_of(span.trace_id)
        for group in request.resource_spans
        for scope in group.scope_spans
        for span in scope.spans
    ]
    if len(set(shares)) <= 1:
        return dict.fromkeys(shares, body)
    return {share: _cut(request, shares, share) for share in sorted(set(shares))}


def _cut(request: Any, shares: list[int], share: int) -> bytes:
    cut = ExportTraceServiceRequest()
    first = 0
    for group in request.resource_spans:
        kept_group: Any = None
        for scope in group.scope_spans:
            end = first + len(scope.spans)
            kept = [span for span, its_share in zip(scope.spans, shares[first:end], strict=True) if its_share == share]
            first = end
            if kept:
                if kept_group is None:
                    kept_group = cut.resource_spans.add(schema_url=group.schema_url)
                    kept_group.resource.CopyFrom(group.resource)
                kept_scope = kept_group.scope_spans.add(schema_url=scope.schema_url)
                kept_scope.scope.CopyFrom(scope.scope)
                kept_scope.spans.extend(kept)
    return cut.SerializeToString()
