"""The current request's context: its span, its correlation ID and its baggage.

All of it lives in OpenTelemetry's own context, so that whatever carries that context on (asyncio, `copy_context`, other
instrumentation) carries the correlation ID too, and entering and leaving a request is one set and one reset.
"""

from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Final, NamedTuple

from opentelemetry import context as otel_context
from opentelemetry.baggage import _BAGGAGE_KEY
from opentelemetry.context.context import Context
from opentelemetry.trace import INVALID_SPAN, Span
from opentelemetry.trace.propagation import _SPAN_KEY

from clew import fields

if TYPE_CHECKING:
    from clew.spans import LightSpan

SPAN_KEY: Final = _SPAN_KEY
BAGGAGE_KEY: Final = _BAGGAGE_KEY
CORRELATION_KEY: Final = "clew.correlation_id"

_STAMP: Final = "_clew_ids"


class Ids(NamedTuple):
    """The IDs of the place a record came from; 0 and None where there is none."""

    trace_id: int
    span_id: int
    trace_flags: int
    correlation_id: str | None


NO_IDS: Final = Ids(0, 0, 0, None)


class _RuntimeSlot:
    """A ContextVar's methods over any other runtime context that OTEL_PYTHON_CONTEXT may have named."""

    def __init__(self) -> None:
        self.get = otel_context._RUNTIME_CONTEXT.get_current
        self.set = otel_context._RUNTIME_CONTEXT.attach
        self.reset = otel_context._RUNTIME_CONTEXT.detach


CURRENT: Final[ContextVar[Context] | _RuntimeSlot] = (
    # The variable itself: the public functions around it cost as much again as the rest of a request's context.
    getattr(otel_context._RUNTIME_CONTEXT, "_current_context", None) or _RuntimeSlot()
)


def restore(token: Token[Context]) -> None:
    """Go back to the context before `token`; quietly does nothing where that is not possible any more.

    A generator that is closed by the garbage collector, and a task that is cancelled, run their `finally` in another
    context than the one they started in. There is nothing to go back to there, and nothing to tell anybody.
    """
    try:
        CURRENT.reset(token)
    except (ValueError, RuntimeError):
        return


def correlation_id() -> str | None:
    """The current request's correlation ID; None outside of a request."""
    return correlation_id_of(CURRENT.get())


def trace_id() -> str | None:
    """The current trace's ID as 32 hexadecimal digits; None outside of a trace."""
    trace = active_ids().trace_id
    return f"{trace:032x}" if trace else None


def current_span() -> Span:
    """The current span. Outside of a trace, one that takes every call and does nothing."""
    span = CURRENT.get().get(SPAN_KEY)
    return span if isinstance(span, Span) else INVALID_SPAN


def correlation_id_of(context: Context) -> str | None:
    """The correlation ID in `context`: a request's own, else its baggage's, else its span's."""
    found = context.get(CORRELATION_KEY)
    if found is None:
        baggage = context.get(BAGGAGE_KEY)
        found = baggage.get(fields.CORRELATION_ID) if isinstance(baggage, dict) else None
    if found is None:
        found = getattr(context.get(SPAN_KEY), "correlation_id", None)
    return found if isinstance(found, str) else None


def active_ids() -> Ids:
    """The IDs that a log written right now belongs to."""
    context = CURRENT.get()
    if not context:
        return NO_IDS
    span = context.get(SPAN_KEY)
    correlation_id = context.get(CORRELATION_KEY)
    if type(correlation_id) is not str:
        correlation_id = correlation_id_of(context)
    trace = getattr(span, "trace_id", None)
    if trace is not None:
        return Ids(trace, span.span_id, span.trace_flags, correlation_id)  # type: ignore[attr-defined]
    return Ids(*_trace_of(span), correlation_id)


def stamp(error: BaseException, span: "LightSpan") -> None:
    """Write the request's IDs on an exception, for who logs it after the request's context is gone.

    Servers do: "Exception in ASGI application" is logged outside of every middleware. Plain numbers and text, so that
    the exception can still be pickled.
    """
    try:
        setattr(error, _STAMP, (span.trace_id, span.span_id, span.trace_flags, span.correlation_id))
    except (AttributeError, TypeError):
        return


def stamped_ids(error: BaseException | None) -> Ids:
    """The IDs that `stamp` wrote on this exception."""
    found = getattr(error, _STAMP, None)
    return Ids(*found) if found is not None else NO_IDS


def _trace_of(span: object) -> tuple[int, int, int]:
    if not isinstance(span, Span):
        return 0, 0, 0
    context = span.get_span_context()
    return context.trace_id, context.span_id, int(context.trace_flags)
