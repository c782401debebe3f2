"""What an outgoing call takes along, whatever library makes it."""

from opentelemetry import context as otel_context
from opentelemetry.context.context import Context
from opentelemetry.trace import Span

from clew import fields
from clew.context import BAGGAGE_KEY, SPAN_KEY, correlation_id_of
from clew.propagation import format_baggage, format_traceparent
from clew.spans import LightSpan

X_REQUEST_ID = "X-Request-ID"


def trace_headers(span: LightSpan) -> dict[str, str]:
    """`traceparent` and `tracestate` of a call that `span` is about."""
    headers = {"traceparent": format_traceparent(span.trace_id, span.span_id, span.trace_flags)}
    if span.trace_state:
        headers["tracestate"] = span.trace_state
    return headers


def request_headers(context: Context, correlation_id: str | None) -> dict[str, str]:
    """`baggage` and `X-Request-ID` of any call made in `context`."""
    baggage = context.get(BAGGAGE_KEY)
    carried = dict(baggage) if isinstance(baggage, dict) else {}
    correlation_id = correlation_id or correlation_id_of(context)
    headers = {}
    if correlation_id is not None:
        carried[fields.CORRELATION_ID] = correlation_id
        headers[X_REQUEST_ID] = correlation_id
    if carried:
        headers["baggage"] = format_baggage(carried)
    return headers


def is_suppressed(context: Context) -> bool:
    """Whether somebody asked for no client spans here: an exporter's own calls, for example."""
    return bool(
        context.get(otel_context._SUPPRESS_INSTRUMENTATION_KEY)
        or context.get(otel_context._SUPPRESS_HTTP_INSTRUMENTATION_KEY)
    )


def is_traced_by(library: str, context: Context) -> bool:
    """Whether the current span was made by this instrumentation library, for this very call."""
    span = context.get(SPAN_KEY)
    return isinstance(span, Span) and getattr(getattr(span, "scope", None), "name", "") == library
