"""Carrying a request on by a way that clew does not know: a list in Redis, a socket, a file, a library of your own.

`outgoing_headers()` on one side; on the other `processing("redis", "orders", headers)`, or `processing_batch`.
"""

from typing import Any, cast

from opentelemetry.trace import Span

from clew.clients.outgoing import request_headers, trace_headers
from clew.context import CURRENT, SPAN_KEY
from clew.messaging.operations import processing, processing_batch
from clew.propagation import Parent
from clew.runtime import RUNTIME
from clew.spans import LightSpan

__all__ = ["outgoing_headers", "processing", "processing_batch"]


def outgoing_headers() -> dict[str, str]:
    """The current request's IDs as headers: `traceparent`, `baggage` and `X-Request-ID`, as the settings say.

    A new dictionary each time; empty outside of a request.
    """
    context = CURRENT.get()
    if not RUNTIME.enabled or not context:
        return {}
    span = context.get(SPAN_KEY)
    headers: dict[str, str] = {}
    if isinstance(span, LightSpan):
        headers = trace_headers(span)
    elif isinstance(span, Span) and span.get_span_context().is_valid:
        headers = trace_headers(cast(Any, _ids_of(span)))
    headers.update(request_headers(context, None))
    return headers


def _ids_of(span: Span) -> Parent:
    """What the writers of headers read of a span, of one that another library has made."""
    context = span.get_span_context()
    return Parent(context.trace_id, context.span_id, context.trace_flags, context.trace_state.to_header() or None)
