"""A request that comes in, whatever brings it: its span, its correlation ID, its context.

`begin` and `enter` are the steps, for who counts microseconds; `Following` is all of them around a block of code.
"""

from collections.abc import Iterable, Mapping
from contextvars import Token
from types import TracebackType
from typing import Final, Self

from opentelemetry.context.context import Context
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, TraceFlags
from opentelemetry.util.types import AnyValue

from clew import fields
from clew.context import BAGGAGE_KEY, CORRELATION_KEY, CURRENT, SPAN_KEY, restore, stamp
from clew.failures import type_name
from clew.ids import is_valid_correlation_id, new_correlation_id, new_trace_id
from clew.propagation import BAGGAGE, SAMPLED, Parent, parse_baggage, read_parent
from clew.runtime import RUNTIME
from clew.spans import LightSpan, as_trace_state
from clew.tracing import OWN_SCOPE, copy_baggage, follow_decision, new_root, start_span

INTERNAL: Final = 1
SERVER: Final = 2
CLIENT: Final = 3
PRODUCER: Final = 4
CONSUMER: Final = 5
"""Span kinds as OTLP numbers them."""

SentHeaders = Iterable[tuple[object, object]] | Mapping[str, object] | None
"""What a library has of headers: pairs or a mapping, names in any case, text or bytes; other values are passed over."""


def begin(name: str, kind: int, headers: Mapping[bytes, bytes], outer: Context) -> LightSpan:
    """The span of a request: under its caller's, else under the span that is current here, else a new trace's first.

    `headers` are those that `RUNTIME.headers.pick` gave.
    """
    parent = read_parent(headers)
    if parent is not None:
        if RUNTIME.headers.trusts_callers:
            return _under_caller(parent, name, kind)
        span = new_root(OWN_SCOPE, name, kind)
        if parent.trace_id and parent.span_id:
            span.add_link(span_context(parent))
        return span
    local = outer.get(SPAN_KEY) if outer else None
    if isinstance(local, Span) and not _has_ended(local):
        return start_span(OWN_SCOPE, name, kind, outer)
    return new_root(OWN_SCOPE, name, kind)


def enter(
    span: LightSpan, headers: Mapping[bytes, bytes], outer: Context, correlation_id: str | None = None
) -> tuple[str, Context]:
    """The request's correlation ID, and the context to run it in. A valid `correlation_id` wins over what was sent."""
    sent = headers.get(BAGGAGE)
    policy = RUNTIME.headers
    if policy.trusts_callers:
        baggage: dict[str, object] = {} if sent is None else {**parse_baggage(sent)}
        correlation_id = (
            correlation_id
            or _sent_id(headers, policy.ids)
            or _valid_text(baggage.get(fields.CORRELATION_ID))
            or span.correlation_id
            or new_correlation_id()
        )
    else:
        baggage = {}
        correlation_id = correlation_id or span.correlation_id or new_correlation_id()
    span.correlation_id = baggage[fields.CORRELATION_ID] = correlation_id
    inner = {SPAN_KEY: span, CORRELATION_KEY: correlation_id, BAGGAGE_KEY: baggage}
    if outer:
        local = outer.get(BAGGAGE_KEY)
        if isinstance(local, dict) and not _has_ended(outer.get(SPAN_KEY)):
            inner[BAGGAGE_KEY] = baggage = {**local, **baggage}
        inner = {**outer, **inner}
    if RUNTIME.settings.baggage_fields:
        copy_baggage(span, baggage)
    return correlation_id, Context(inner)


def exclude(span: LightSpan) -> None:
    """Do not export this span, nor those under it; the IDs stay."""
    span.trace_flags &= ~SAMPLED
    span.held = None


def is_excluded(path: str) -> bool:
    """Whether the settings want no spans of requests for this path."""
    return RUNTIME.excluded is not None and RUNTIME.excluded.search(path) is not None


class Following:
    """A request while it runs: `with Following("process orders", CONSUMER, headers): ...`.

    The block is in the request's context, an exception that leaves it is recorded and passed on, and the end of the
    block ends the span. Work that comes back later (a streamed body) may enter again by `with following.resumed():`.
    """

    __slots__ = ("_token", "context", "correlation_id", "span")

    def __init__(
        self,
        name: str,
        kind: int,
        headers: SentHeaders = None,
        *,
        attributes: Mapping[str, AnyValue] | None = None,
        correlation_id: str | None = None,
        links_parent: bool = False,
        links: Iterable[SpanContext] = (),
        path: str | None = None,
    ) -> None:
        """Begin the span. `links_parent` also links it to the caller's span, as a consumer's is to its producer's;
        `path` is what `excluded_urls` is matched against; a valid `correlation_id` wins over the one in the headers."""
        self._token: Token[Context] | None = None
        outer = CURRENT.get()
        given = _valid_text(correlation_id)
        if not RUNTIME.enabled:
            # A span that is not sampled goes nowhere.
            self.span = LightSpan(OWN_SCOPE, name, kind, new_trace_id())
            self.correlation_id, self.context = given or new_correlation_id(), outer
            return
        picked = RUNTIME.headers.pick_any(headers)
        self.span = span = begin(name, kind, picked, outer)
        if attributes:
            span.set_attributes(attributes)
        if links_parent and span.is_parent_remote:
            span.add_link(span_context(Parent(span.trace_id, span.parent_id, span.trace_flags, span.trace_state)))
        for link in links:
            span.add_link(link)
        self.correlation_id, self.context = enter(span, picked, outer, given)
        if path is not None and is_excluded(path):
            exclude(span)

    def __enter__(self) -> Self:
        self._token = CURRENT.set(self.context)
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        try:
            self.end(error)
        finally:
            self.leave()

    def leave(self) -> None:
        """Go back to the context before; the span goes on."""
        token, self._token = self._token, None
        if token is not None:
            restore(token)

    def end(self, error: BaseException | None = None) -> None:
        """End the span, failed by `error` if there is one. Twice is as once."""
        if isinstance(error, Exception) and RUNTIME.enabled:
            self.span.set_attribute(fields.ERROR_TYPE, type_name(type(error)))
            self.span.fail(error)
            stamp(error, self.span)
        self.span.end()

    def resumed(self) -> "Resumed":
        """The request's context again, for a part of its work that comes later; does not end the span."""
        return Resumed(self.context)


class Resumed:
    """`with Resumed(context):` runs a block in a context that was left before."""

    __slots__ = ("_context", "_token")

    def __init__(self, context: Context) -> None:
        self._context = context

    def __enter__(self) -> None:
        self._token = CURRENT.set(self._context)

    def __exit__(self, *_error: object) -> None:
        restore(self._token)


def span_context(parent: Parent) -> SpanContext:
    """A caller's span as OpenTelemetry's object."""
    state = as_trace_state(parent.trace_state)
    return SpanContext(parent.trace_id, parent.span_id, True, TraceFlags(parent.trace_flags), state)


def sender_of(headers: SentHeaders) -> SpanContext | None:
    """The span that sent a message, to link to; None when its headers name none."""
    parent = read_parent(RUNTIME.headers.pick_any(headers))
    return span_context(parent) if parent is not None and parent.trace_id and parent.span_id else None


def _under_caller(parent: Parent, name: str, kind: int) -> LightSpan:
    if RUNTIME.sdk is not None:
        caller = NonRecordingSpan(span_context(parent))
        return RUNTIME.sdk.start(OWN_SCOPE, name, kind, Context({SPAN_KEY: caller}))
    span = LightSpan(OWN_SCOPE, name, kind, parent.trace_id or new_trace_id())
    span.parent_id = parent.span_id
    span.trace_state = parent.trace_state
    span.is_parent_remote = parent.span_id != 0
    follow_decision(span, parent.trace_flags)
    return span


def _has_ended(span: object) -> bool:
    """Whether a current span has leaked: servers that were started inside of one keep its context for every
    connection."""
    return getattr(span, "end_ns", None) is not None


def _sent_id(headers: Mapping[bytes, bytes], names: tuple[bytes, ...]) -> str | None:
    for name in names:
        header = headers.get(name)
        if header is not None:
            text = header.decode("latin-1").strip()
            if is_valid_correlation_id(text):
                return text
    return None


def _valid_text(text: object) -> str | None:
    return text if isinstance(text, str) and is_valid_correlation_id(text) else None
