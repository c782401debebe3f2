"""The light span: OpenTelemetry's `Span`, made, ended and queued in about a microsecond.

It takes no lock, cleans nothing and encodes nothing; all that happens on the export thread. Any library that is
instrumented with OpenTelemetry's API works on it as on the SDK's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import time_ns
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.trace import Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState
from opentelemetry.util.types import AnyValue, Attributes

from clew.failures import exception_attributes
from clew.freezing import Frozen, freeze, freeze_items, safe_text
from clew.ids import random_bits
from clew.propagation import SAMPLED
from clew.runtime import RUNTIME

if TYPE_CHECKING:
    from clew.sampling import Held

STATUS_UNSET: Final = StatusCode.UNSET.value
STATUS_OK: Final = StatusCode.OK.value
STATUS_ERROR: Final = StatusCode.ERROR.value

KIND: Final = {kind: kind.value + 1 for kind in SpanKind}
"""Span kinds as OTLP numbers them: one more than the API does."""

SpanEvent = tuple[str, int, dict[str, Frozen]]
"""Name, time in nanoseconds, attributes."""

SpanLink = tuple[SpanContext, dict[str, Frozen]]


class Scope:
    """An instrumentation scope: who made a span or wrote a log."""

    __slots__ = ("name", "schema_url", "version")

    def __init__(self, name: str, version: str = "", schema_url: str = "") -> None:
        self.name = name
        self.version = version
        self.schema_url = schema_url


class AlikeAttributes:
    """Attributes that many spans have alike, kept by whoever makes them; the encoder writes them once for all."""

    __slots__ = ("values",)

    def __init__(self, values: Mapping[str, Frozen]) -> None:
        self.values = values


class LightSpan(Span):
    """One operation of this process. Once it has ended, nothing changes it any more."""

    # Defaults on the class instead of slots: a span sets only what differs, which is most of the cost of making one.
    parent_id: int = 0
    trace_flags: int = 0
    trace_state: str | None = None
    held: Held | None = None
    """Where a span that is not sampled goes at its end, for the case that its request is kept after all."""
    correlation_id: str | None = None
    is_parent_remote: bool = False
    end_ns: int | None = None
    events: list[SpanEvent] | None = None
    links: list[SpanLink] | None = None
    status: int = STATUS_UNSET
    status_description: str | None = None
    dropped_attributes: int = 0
    dropped_events: int = 0
    dropped_links: int = 0
    describe: Callable[[LightSpan], tuple[AlikeAttributes, list[tuple[str, Frozen]]]] | None = None
    """Makes more attributes out of `details`, on the export thread."""
    details: Any = None
    records_exception: bool = True
    sets_status_on_exception: bool = True
    _span_context: SpanContext | None = None

    def __init__(self, scope: Scope, name: str, kind: int, trace_id: int) -> None:
        self.scope = scope
        self.name = name
        self.kind = kind
        self.trace_id = trace_id
        self.span_id: int = random_bits(64) or 1
        self.attributes: dict[str, Frozen] = {}
        self.start_ns: int = time_ns()

    def get_span_context(self) -> SpanContext:
        """The IDs as OpenTelemetry passes them around; made when somebody asks for them."""
        context = self._span_context
        if context is None:
            flags, state = TraceFlags(self.trace_flags), as_trace_state(self.trace_state)
            context = self._span_context = SpanContext(self.trace_id, self.span_id, False, flags, state)
        return context

    def is_recording(self) -> bool:
        """Whether what is written on this span will be exported."""
        return self.end_ns is None and (bool(self.trace_flags & SAMPLED) or self.held is not None)

    def set_attribute(self, key: str, value: AnyValue) -> None:
        """Set an attribute, as its value is now."""
        attributes = self.attributes
        if self.end_ns is not None or value is None:
            return
        if len(attributes) >= RUNTIME.settings.max_attributes and key not in attributes:
            self.dropped_attributes += 1
            return
        attributes[key if type(key) is str else safe_text(key)] = freeze(value)

    def set_attributes(self, attributes: Mapping[str, AnyValue]) -> None:
        """Set each of these attributes."""
        for key, value in freeze_items(attributes).items():
            self.set_attribute(key, value)

    def add_event(self, name: str, attributes: Attributes = None, timestamp: int | None = None) -> None:
        """Add something that happened at one moment: now, or `timestamp` in nanoseconds."""
        if self.end_ns is not None:
            return
        if self.events is None:
            self.events = []
        if len(self.events) >= RUNTIME.settings.max_events:
            self.dropped_events += 1
            return
        frozen = freeze_items(attributes) if attributes else {}
        self.events.append((safe_text(name), time_ns() if timestamp is None else timestamp, frozen))

    def add_link(self, context: SpanContext, attributes: Attributes = None) -> None:
        """Point at another span; a context that is not valid is ignored."""
        if self.end_ns is not None or not context.is_valid:
            return
        if self.links is None:
            self.links = []
        if len(self.links) >= RUNTIME.settings.max_links:
            self.dropped_links += 1
            return
        self.links.append((context, freeze_items(attributes) if attributes else {}))

    def update_name(self, name: str) -> None:
        """Change the name."""
        if self.end_ns is None:
            self.name = safe_text(name)

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Set the status. OK is final, UNSET is ignored, and only an error has a description."""
        code, text = (status.status_code, status.description) if isinstance(status, Status) else (status, description)
        if self.end_ns is not None or self.status == STATUS_OK or code is StatusCode.UNSET:
            return
        self.status = code.value
        self.status_description = safe_text(text) if text and code is StatusCode.ERROR else None

    def record_exception(
        self,
        exception: BaseException,
        attributes: Attributes = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """Add the event `exception`. `escaped` is taken and not kept: OpenTelemetry has deprecated it."""
        described = exception_attributes(exception)
        if attributes:
            described.update(freeze_items(attributes))
        self.add_event("exception", described, timestamp)

    def fail(self, error: BaseException) -> None:
        """Record an exception that ended this operation, as far as the span's maker wants that."""
        if self.records_exception:
            self.record_exception(error)
        if self.sets_status_on_exception:
            self.set_status(StatusCode.ERROR, f"{type(error).__qualname__}: {safe_text(error)}")

    def end(self, end_time: int | None = None) -> None:
        """End the span, now or at `end_time` in nanoseconds, and queue it if it is sampled. Twice is as once."""
        if self.end_ns is not None:
            return
        self.end_ns = time_ns() if end_time is None else end_time
        if self.trace_flags & SAMPLED:
            RUNTIME.put_span(self)
        elif self.held is not None:
            self.held.add(self)

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        if isinstance(exc_val, Exception):
            self.fail(exc_val)
        self.end()


def as_trace_state(trace_state: str | None) -> TraceState | None:
    """A `tracestate` header's text as OpenTelemetry's object."""
    return TraceState.from_header([trace_state]) if trace_state else None
