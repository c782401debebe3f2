"""The tracer and its provider: how spans are made by users, and by libraries that know OpenTelemetry only."""

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from opentelemetry import trace
from opentelemetry.context.context import Context
from opentelemetry.trace import Span, SpanContext, SpanKind, Tracer, TracerProvider
from opentelemetry.util._decorator import _agnosticcontextmanager
from opentelemetry.util.types import Attributes

from clew.context import BAGGAGE_KEY, CURRENT, SPAN_KEY, correlation_id_of, restore
from clew.ids import new_trace_id
from clew.propagation import SAMPLED
from clew.runtime import RUNTIME
from clew.sampling import ROOT_FLAGS, Held
from clew.spans import KIND, LightSpan, Scope
from clew.version import VERSION

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor


class LightTracer(Tracer):
    """Makes light spans under one instrumentation scope."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes = None,
        links: "trace._Links" = None,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> Span:
        """A span under the current one (or the one in `context`); it is not made the current one."""
        if not RUNTIME.enabled:
            return trace.INVALID_SPAN
        if RUNTIME.sdk is not None:
            return RUNTIME.sdk.tracer(self._scope).start_span(
                name, context, kind, attributes, links, start_time, record_exception, set_status_on_exception
            )
        span = start_span(self._scope, name, KIND[kind], CURRENT.get() if context is None else context)
        if attributes:
            span.set_attributes(attributes)
        for link in links or ():
            span.add_link(link.context, link.attributes)
        if start_time is not None:
            span.start_ns = start_time
        if not record_exception:
            span.records_exception = False
        if not set_status_on_exception:
            span.sets_status_on_exception = False
        return span

    @_agnosticcontextmanager
    def start_as_current_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes = None,
        links: "trace._Links" = None,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
        end_on_exit: bool = True,
    ) -> Iterator[Span]:
        """A span that is the current one inside the `with` block, or inside the decorated function, async or not."""
        if RUNTIME.sdk is not None and RUNTIME.enabled:
            tracer = RUNTIME.sdk.tracer(self._scope)
            how = (start_time, record_exception, set_status_on_exception, end_on_exit)
            with tracer.start_as_current_span(name, context, kind, attributes, links, *how) as made:
                yield made
            return
        span = self.start_span(
            name, context, kind, attributes, links, start_time, record_exception, set_status_on_exception
        )
        token = CURRENT.set(Context({**CURRENT.get(), SPAN_KEY: span}))
        try:
            yield span
        except Exception as error:
            if isinstance(span, LightSpan):
                span.fail(error)
            raise
        finally:
            restore(token)
            if end_on_exit:
                span.end()


class LightTracerProvider(TracerProvider):
    """OpenTelemetry's way in: set once as the process's provider, whatever `configure()` says later."""

    def add_span_processor(self, span_processor: "SpanProcessor") -> None:
        """Take a span processor, as the SDK's provider does: from now on the SDK makes the spans."""
        from clew.sdk import follow, new_provider

        if RUNTIME.sdk is None:
            RUNTIME.sdk = follow(new_provider())
            logging.getLogger("clew").warning(
                "a span processor was added (%s): OpenTelemetry's SDK makes the spans from now on",
                type(span_processor).__qualname__,
            )
        add = getattr(RUNTIME.sdk.provider, "add_span_processor", None)
        if callable(add):
            add(span_processor)

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,
    ) -> Tracer:
        """A tracer whose spans name the given library as their scope. A scope's attributes are not kept."""
        return LightTracer(Scope(instrumenting_module_name, instrumenting_library_version or "", schema_url or ""))


OWN_SCOPE: Final = Scope("clew", VERSION)
"""The scope of the spans that clew makes by itself."""


def get_tracer(name: str) -> Tracer:
    """A tracer for own spans: `with get_tracer("orders").start_as_current_span("price the cart"): ...`."""
    return LightTracer(Scope(name))


def start_span(scope: Scope, name: str, kind: int, context: Context) -> LightSpan:
    """A span under the one in `context`, or a new trace's first; a `LightSpan` whoever made its parent."""
    parent = context.get(SPAN_KEY)
    if RUNTIME.sdk is not None:
        span = RUNTIME.sdk.start(scope, name, kind, context)
    elif isinstance(parent, LightSpan):
        span = LightSpan(scope, name, kind, parent.trace_id)
        span.parent_id = parent.span_id
        span.trace_flags = parent.trace_flags
        span.trace_state = parent.trace_state
        if parent.held is not None:
            span.held = parent.held
    else:
        span = _under_foreign(parent.get_span_context() if isinstance(parent, Span) else None, scope, name, kind)
    # A trace that begins outside of any request is a request of its own: a job can be followed like a call.
    span.correlation_id = correlation_id_of(context) or f"{span.trace_id:032x}"
    if RUNTIME.settings.baggage_fields:
        copy_baggage(span, context.get(BAGGAGE_KEY))
    return span


def new_root(scope: Scope, name: str, kind: int) -> LightSpan:
    """The first span of a new trace."""
    if RUNTIME.sdk is not None:
        return RUNTIME.sdk.start(scope, name, kind, Context())
    span = LightSpan(scope, name, kind, new_trace_id())
    sampler = RUNTIME.sampler
    if sampler is None:
        span.trace_flags = ROOT_FLAGS
    else:
        span.trace_flags = sampler.root_flags(span.trace_id)
        if not span.trace_flags & SAMPLED and RUNTIME.keeps_unsampled:
            span.held = Held(span)
    return span


def follow_decision(span: LightSpan, trace_flags: int) -> None:
    """Take over what a caller in another process has decided on sampling, as far as the sampler follows it."""
    sampler = RUNTIME.sampler
    if sampler is not None:
        trace_flags = sampler.remote_flags(span.trace_id, trace_flags)
    span.trace_flags = trace_flags
    if not trace_flags & SAMPLED and RUNTIME.keeps_unsampled:
        span.held = Held(span)


def copy_baggage(span: LightSpan, baggage: object) -> None:
    """Put the baggage that the settings name onto a span."""
    if isinstance(baggage, dict):
        for key in RUNTIME.settings.baggage_fields:
            if key in baggage:
                span.set_attribute(key, str(baggage[key]))


def _under_foreign(parent: SpanContext | None, scope: Scope, name: str, kind: int) -> LightSpan:
    if parent is None or not parent.is_valid:
        return new_root(scope, name, kind)
    span = LightSpan(scope, name, kind, parent.trace_id)
    span.parent_id = parent.span_id
    span.trace_state = parent.trace_state.to_header() or None
    span.is_parent_remote = parent.is_remote
    follow_decision(span, int(parent.trace_flags))
    return span
