"""What an outgoing call takes along, whatever library makes it."""

from collections.abc import Mapping

from opentelemetry import context as otel_context
from opentelemetry.context.context import Context
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
    _add_request_headers(headers, context, span.correlation_id)
    return headers


def trace_headers(span: LightSpan) -> dict[str, str]:
    """`traceparent` and `tracestate` (or whatever `propagators` says) of a call that `span` is about."""
    headers: dict[str, str] = {}
    for write in RUNTIME.headers.writers:
        write(span, headers)
    return headers


def request_headers(context: Context, correlation_id: str | None) -> dict[str, str]:
    """`baggage` and `X-Request-ID` of any call made in `context`."""
    headers: dict[str, str] = {}
    _add_request_headers(headers, context, correlation_id or correlation_id_of(context))
    return headers


def _add_request_headers(headers: dict[str, str], context: Context, correlation_id: str | None) -> None:
    policy = RUNTIME.headers
    baggage = context.get(BAGGAGE_KEY) if policy.carries_baggage else None
    carried = baggage if isinstance(baggage, dict) else {}
    if correlation_id is None:
        if carried:
            headers["baggage"] = format_baggage(carried)
        return
    is_plain = correlation_id.isascii() and correlation_id.replace("-", "").isalnum()
    if is_plain or _is_header_value(correlation_id):
        headers[policy.request_id_name] = correlation_id
    if not policy.carries_baggage:
        return
    if is_plain and (not carried or (len(carried) == 1 and fields.CORRELATION_ID in carried)):
        # Nearly every call: an ID as clew makes them, or a UUID, and nothing that has to be quoted.
        headers["baggage"] = f"{fields.CORRELATION_ID}={correlation_id}"
    else:
        headers["baggage"] = format_baggage({**carried, fields.CORRELATION_ID: correlation_id})


def is_suppressed(context: Context) -> bool:
    """Whether somebody asked for no client spans here: an exporter's own calls, for example."""
    return bool(
        context.get(otel_context._SUPPRESS_INSTRUMENTATION_KEY)
        or context.get(otel_context._SUPPRESS_HTTP_INSTRUMENTATION_KEY)
    )


def is_traced_by(library: str, context: Context) -> bool:
    """Whether the current span was made by this instrumentation library, for this very call."""
    return scope_of(context) == library


def scope_of(context: Context) -> str:
    """The name of the library that made the current span, be it ours or the SDK's own; empty when nobody knows."""
    span = context.get(SPAN_KEY)
    scope = span.scope if isinstance(span, LightSpan) else getattr(span, "instrumentation_scope", None)
    name = getattr(scope, "name", None)
    return name if isinstance(name, str) else ""


def _is_header_value(text: str) -> bool:
    # An ID may come from baggage that anybody has set; what is no header's value would make the host's call fail.
    return text.isascii() and text.isprintable() and text == text.strip()
