"""Processes: the IDs of the request go along in what is pickled for a child, and so do the settings.

A forked child has both by itself. A spawned one starts empty: it goes by its parent's settings unless its main module
called `configure()`, and continues the request that it was started in.
"""

import logging
from collections.abc import Callable, Mapping
from multiprocessing.process import BaseProcess
from typing import Any, Final, NamedTuple

from opentelemetry.context.context import Context
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, TraceFlags

from clew.clients.wrapping import AnyFunction, wrap
from clew.concurrency.carrying import context_to_carry, run_in, run_outside
from clew.context import BAGGAGE_KEY, CORRELATION_KEY, CURRENT, SPAN_KEY, correlation_id_of
from clew.runtime import RUNTIME
from clew.settings import Settings
from clew.spans import as_trace_state
from clew.workers.children import finish_at_end_of_fork

_LUGGAGE: Final = "_clew_luggage"


class CarriedIds(NamedTuple):
    """A request as another process continues it, in values that can be pickled."""

    trace_id: int
    span_id: int
    trace_flags: int
    trace_state: str | None
    correlation_id: str | None
    baggage: Mapping[str, str]

    def as_context(self) -> Context:
        """The context in the other process."""
        context: dict[str, object] = {BAGGAGE_KEY: dict(self.baggage)}
        if self.correlation_id is not None:
            context[CORRELATION_KEY] = self.correlation_id
        if self.trace_id:
            flags, state = TraceFlags(self.trace_flags), as_trace_state(self.trace_state)
            context[SPAN_KEY] = NonRecordingSpan(SpanContext(self.trace_id, self.span_id, True, flags, state))
        return Context(context)


class _Luggage:
    """Rides on a process object while that starts; unpacks itself in the child where it is unpickled."""

    def __init__(self, ids: CarriedIds | None, settings: Settings) -> None:
        self._ids = ids
        self._settings = settings

    def __reduce__(self) -> tuple[Callable[..., None], tuple[object, ...]]:
        return arrive, (self._ids, self._settings)


def install() -> None:
    """Wrap `multiprocessing`'s processes; twice is the same as once."""
    wrap(BaseProcess, "start", _around_start)


def install_executor() -> None:
    """Wrap process pools; twice is the same as once."""
    from concurrent.futures import ProcessPoolExecutor

    wrap(ProcessPoolExecutor, "submit", _around_submit)


def arrive(ids: CarriedIds | None, settings: Settings) -> None:
    """In a spawned child, before its own work: take over what the parent has sent along. Never raises."""
    from clew.configuration import configure_as_parent

    try:
        configure_as_parent(settings)
        finish_at_end_of_fork()
        if ids is not None:
            CURRENT.set(ids.as_context())
    except Exception as error:  # noqa: BLE001  (in the middle of the host's start)
        logging.getLogger("clew").warning("this child process is not observed: %s: %s", type(error).__name__, error)


def run_job(ids: CarriedIds, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """In a pool's process: call a job's function in the context that it was submitted in."""
    return run_in(ids.as_context(), function, *args, **kwargs)


def carried_ids() -> CarriedIds | None:
    """What a child process is to know of the current request; None when there is none, or nobody wants that."""
    context = context_to_carry()
    if context is None:
        return None
    span, baggage = context.get(SPAN_KEY), context.get(BAGGAGE_KEY)
    of_span = span.get_span_context() if isinstance(span, Span) else None
    texts = {str(key): str(value) for key, value in baggage.items()} if isinstance(baggage, Mapping) else {}
    if of_span is None:
        return CarriedIds(0, 0, 0, None, correlation_id_of(context), texts)
    state = of_span.trace_state.to_header() or None
    return CarriedIds(
        of_span.trace_id, of_span.span_id, int(of_span.trace_flags), state, correlation_id_of(context), texts
    )


def _around_start(original: AnyFunction) -> AnyFunction:
    def start(self: BaseProcess) -> Any:
        if not RUNTIME.enabled or RUNTIME.exporter is None:
            return original(self)
        self.__dict__[_LUGGAGE] = _Luggage(carried_ids(), RUNTIME.settings)
        try:
            return original(self)
        finally:
            self.__dict__.pop(_LUGGAGE, None)

    return start


def _around_submit(original: AnyFunction) -> AnyFunction:
    def submit(self: Any, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        ids = carried_ids()
        if ids is None:
            return original(self, fn, *args, **kwargs)
        # It may start the pool's processes and threads, which must not keep this request's context for good.
        return run_outside(original, self, run_job, ids, fn, *args, **kwargs)

    return submit
