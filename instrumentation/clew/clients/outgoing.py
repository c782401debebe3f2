"""What an outgoing call takes along, whatever library makes it."""

from collections.abc import Mapping

from opentelemetry import context as otel_context
from opentelemetry.context.context import Context
from opentelemetry.trace import Span
from opentelemetry.util.types import AnyValue

from clew import fields
from clew.context import BAGGAGE_KEY, CURRENT, SPAN_KEY, correlation_id_of
from clew.propagation import format_baggage
from clew.runtime import RUNTIME
from clew.spans import LightSpan
from clew.tracing import OWN_SCOPE, start_span


def begin_call(
    name: str, kind: int, attributes: Mapping[str, AnyValue], *, traced_by: str = ""
) -> tuple[LightSpan | None, dict[str, str]]:
    """The span of a call that begins now (`incoming.CLIENT` or `PRODUCER`), and the headers that it takes along.

    No span when nobody wants one here, or when OpenTelemetry's own instrumentation of this library (`traced_by`, its
    module's name) has just made one for this very call; the headers then carry the request's IDs alone.
    """
    context = CURRENT.get()
    if not RUNTIME.enabled or is_suppressed(context):
        return None, {}
    if traced_by and is_traced_by(traced_by, context):
        return None, request_headers(context, None)
    span = start_span(OWN_SCOPE, name, kind, context)
    span.set_attributes(attributes)
    return span, call_headers(span, context)


def call_headers(span: LightSpan, context: Context) -> dict[str, str]:
    """All headers of a call that `span` is about."""
    headers = trace_headers(span)
    headers.update(request_headers(context, span.correlation_id))
    return headers


def trace_headers(span: LightSpan) -> dict[str, str]:
    """`traceparent` and `tracestate` (or whatever `propagators` says) of a call that `span` is about."""
    headers: dict[str, str] = {}
    for write in RUNTIME.headers.writers:
        write(span, headers)
    return headers


def request_headers(context: Context, correlation_id: str | None) -> dict[str, str]:
    """`baggage` and `X-Request-ID` of any call made in `context`."""
    policy = RUNTIME.headers
    correlation_id = correlation_id or correlation_id_of(context)
    headers = {} if correlation_id is None else {policy.request_id_name: correlation_id}
    if policy.carries_baggage:
        baggage = context.get(BAGGAGE_KEY)
        carried = dict(baggage) if isinstance(baggage, dict) else {}
        if correlation_id is not None:
            carried[fields.CORRELATION_ID] = correlation_id
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
