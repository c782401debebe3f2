"""Stepping aside for OpenTelemetry's SDK: a service with a tracer provider, span processors or a sampler of its own.

The SDK then makes every span, clew's own ones too, so that the sampler decides and each processor sees them. A copy of
what it finished goes to clew's collector by clew's exporter. Slower than the light span, and complete.
"""

from collections.abc import Callable
from typing import Any, Final, cast
from urllib.parse import urlsplit

from opentelemetry.context.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.trace import Span, SpanContext, SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace import TracerProvider as AnyTracerProvider

from clew import fields
from clew.context import CURRENT, SPAN_KEY, correlation_id_of
from clew.freezing import freeze_items, safe_text
from clew.resource import describe_process
from clew.runtime import RUNTIME
from clew.spans import KIND, LightSpan, Scope

_KIND: Final = {number: kind for kind, number in KIND.items()}


class SdkTracing:
    """Makes spans by the service's own provider."""

    def __init__(self, provider: AnyTracerProvider) -> None:
        self.provider = provider
        self._tracers: dict[tuple[str, str, str], Tracer] = {}

    def tracer(self, scope: Scope) -> Tracer:
        """The provider's tracer for an instrumentation scope."""
        key = (scope.name, scope.version, scope.schema_url)
        found = self._tracers.get(key)
        if found is None:
            found = self._tracers[key] = self.provider.get_tracer(
                scope.name, scope.version or None, schema_url=scope.schema_url or None
            )
        return found

    def start(self, scope: Scope, name: str, kind: int, context: Context) -> LightSpan:
        """One of clew's own spans, under the span in `context`."""
        made = self.tracer(scope).start_span(name, context, _KIND[kind])
        parent = context.get(SPAN_KEY)
        return DelegatedSpan(scope, name, kind, made, parent.get_span_context() if isinstance(parent, Span) else None)


class DelegatedSpan(LightSpan):
    """One of clew's own spans over one of the SDK's, which gets all that was written when it ends."""

    def __init__(self, scope: Scope, name: str, kind: int, made: Span, parent: SpanContext | None) -> None:
        context = made.get_span_context()
        super().__init__(scope, name, kind, context.trace_id)
        self._made = made
        self._span_context = context
        self._name_before = name
        self.span_id = context.span_id
        self.trace_flags = int(context.trace_flags)
        self.trace_state = context.trace_state.to_header() or None
        if parent is not None and parent.is_valid:
            self.parent_id = parent.span_id
            self.is_parent_remote = parent.is_remote

    def is_recording(self) -> bool:
        """As the SDK's span says."""
        return self.end_ns is None and self._made.is_recording()

    def end(self, end_time: int | None = None) -> None:
        """Hand over what was written, and end the SDK's span."""
        if self.end_ns is not None:
            return
        made = self._made
        if made.is_recording():
            self._hand_over(made)
        super_end = super().end
        # Never queued as a light span: the SDK's is the one.
        self.trace_flags, flags, self.held = 0, self.trace_flags, None
        super_end(end_time)
        self.trace_flags = flags
        made.end(self.end_ns)

    def _hand_over(self, made: Span) -> None:
        if self.describe is not None:
            alike, other = self.describe(self)
            made.set_attributes(cast(Any, {**alike.values, **dict(other)}))
        made.set_attributes(cast(Any, self.attributes))
        if self.correlation_id is not None:
            made.set_attribute(fields.CORRELATION_ID, self.correlation_id)
        for name, time_ns, attributes in self.events or ():
            made.add_event(name, cast(Any, attributes), time_ns)
        for context, attributes in self.links or ():
            made.add_link(context, cast(Any, attributes))
        if self.name != self._name_before:
            made.update_name(self.name)
        if self.status:
            made.set_status(Status(StatusCode(self.status), self.status_description))


class CopyToCollector(SpanProcessor):
    """The span processor that clew adds: writes the correlation ID on every span, and queues a copy of it."""

    def __init__(self, *, sends: bool) -> None:
        self._sends = sends
        """False: another processor sends to the same collector already."""

    def on_start(self, span: SdkSpan, parent_context: Context | None = None) -> None:
        """Write the correlation ID of the request that the span belongs to."""
        context = CURRENT.get() if parent_context is None else parent_context
        correlation_id = correlation_id_of(context)
        if correlation_id is not None:
            span.set_attribute(fields.CORRELATION_ID, correlation_id)

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a copy."""
        context = span.get_span_context()
        if self._sends and RUNTIME.enabled and context is not None and context.trace_flags.sampled:
            RUNTIME.put_span(_copy(span))

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Wait until what is queued has been sent."""
        exporter = RUNTIME.exporter
        return exporter.flush(timeout_s=timeout_millis / 1_000) if exporter is not None else True


def follow(provider: AnyTracerProvider) -> SdkTracing:
    """Make spans by `provider` from now on; a copy of each goes to the collector, if the provider lets us."""
    add = getattr(provider, "add_span_processor", None)
    if callable(add):
        cast(Callable[[SpanProcessor], None], add)(CopyToCollector(sends=not _sends_to_collector(provider)))
    return SdkTracing(provider)


def new_provider() -> TracerProvider:
    """A provider of the SDK with this process's resource, for a service that adds a processor to clew's own."""
    return TracerProvider(resource=Resource(cast(Any, describe_process(RUNTIME.settings))), shutdown_on_exit=False)


def _sends_to_collector(provider: object) -> bool:
    """Whether one of the provider's processors exports to where clew does: each span would arrive twice."""
    ours = urlsplit(RUNTIME.settings.traces_endpoint or RUNTIME.settings.endpoint)
    several = getattr(provider, "_active_span_processor", None)
    for processor in getattr(several, "_span_processors", ()):
        exporter = getattr(processor, "span_exporter", None)
        batch = getattr(processor, "_batch_processor", None)
        exporter = exporter or getattr(batch, "_exporter", None)
        address = getattr(exporter, "_endpoint", "")
        theirs = urlsplit(address if "//" in str(address) else f"//{address}")
        if (theirs.hostname, theirs.port) == (ours.hostname, ours.port):
            return True
    return False


def _copy(span: ReadableSpan) -> LightSpan:
    """A finished span of the SDK as the encoder takes it. Not sampled ones do not come here."""
    scope = span.instrumentation_scope
    context = span.get_span_context()
    if context is None:
        raise ValueError("a span without a context")
    copy = LightSpan(
        Scope(scope.name, scope.version or "", scope.schema_url or "") if scope is not None else Scope(""),
        span.name,
        KIND.get(span.kind, KIND[SpanKind.INTERNAL]),
        context.trace_id,
    )
    copy.span_id = context.span_id
    copy.trace_flags = int(context.trace_flags)
    copy.trace_state = context.trace_state.to_header() or None
    if span.parent is not None:
        copy.parent_id = span.parent.span_id
        copy.is_parent_remote = span.parent.is_remote
    copy.start_ns = span.start_time or 0
    copy.end_ns = span.end_time
    copy.attributes = freeze_items(span.attributes or {})
    copy.events = [(event.name, event.timestamp, freeze_items(event.attributes or {})) for event in span.events]
    copy.links = [(link.context, freeze_items(link.attributes or {})) for link in span.links]
    copy.status = span.status.status_code.value
    copy.status_description = safe_text(span.status.description) if span.status.description else None
    copy.dropped_attributes = span.dropped_attributes
    copy.dropped_events = span.dropped_events
    copy.dropped_links = span.dropped_links
    return copy
