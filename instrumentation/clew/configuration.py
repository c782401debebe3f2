"""Switching clew on: `configure()`, and the way back.

The one module that knows all the others. What it sets up belongs to the process (the tracer provider, `logging`,
structlog, httpx), so it is set up once and only replaced where settings have changed.
"""

import atexit
import logging
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final, Unpack

import structlog
from opentelemetry import trace

from clew import concurrency, ids, integrations, opentelemetry_libraries, workers
from clew.concurrency.carrying import run_outside
from clew.exporting.outage import LOGGER_NAME
from clew.frameworks.instrumenting import instrument as instrument
from clew.logs import stdlib_bridge
from clew.logs.output import OUTPUT, renderer_of
from clew.logs.root_handler import set_root_handler
from clew.logs.structlog_chain import configure_structlog, is_structlog_ours, join_structlog, watch_structlog
from clew.resource import describe_process
from clew.runtime import RUNTIME, discard
from clew.sampling import sampler_of
from clew.settings import Arguments, Settings, read_settings
from clew.tracing import LightTracerProvider
from clew.workers import children, uwsgi
from clew.workers.ending import ENDING

if TYPE_CHECKING:
    from clew.exporting.exporter import Exporter

DEFAULT_TIMEOUT_S: Final = 2.0
PAUSE_TIMEOUT_S: Final = 0.5


def configure(service: str | None = None, **settings: Unpack[Arguments]) -> None:
    """Switch clew on for this process: `clew.configure(service="orders")`. Twice is the same as once; other settings
    replace the ones before.

    The settings are those of `clew.settings.Settings`, each explained there. What is not given comes from `CLEW_*`
    variables (`CLEW_ENDPOINT`...), then from OpenTelemetry's, then from defaults. Call it after
    `structlog.configure()`, if the service has its own. Raises `ValueError` for what cannot work.
    """
    _PROCESS.configure(read_settings({"service": service, **settings}))


def flush(timeout_s: float = DEFAULT_TIMEOUT_S) -> bool:
    """Wait until what is finished now has been sent; False if it was not within this time."""
    exporter = RUNTIME.exporter
    return exporter.flush(timeout_s=timeout_s) if exporter is not None else True


def shutdown(timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
    """Flush, and stop exporting; IDs are still made and carried on. `configure()` starts it again."""
    _PROCESS.shutdown(timeout_s=timeout_s)


def configure_as_parent(settings: Settings) -> None:
    """Go by the settings of the process that started this one, unless this one has called `configure()` itself."""
    _PROCESS.configure_first(settings)


class _Process:
    """What is set up in this process so far."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._settings: Settings | None = None
        self._has_hooks = False
        self._pid = os.getpid()

    def configure(self, settings: Settings) -> None:
        """Go from the settings before to these."""
        with self._lock:
            # Before anything is replaced: settings that cannot work leave those before in place.
            renderer_of(settings)
            if settings != self._settings:
                self._replace_exporter(settings)
            self._settings = settings
            RUNTIME.enabled = settings.enabled
            excluded = re.compile("|".join(f"(?:{url})" for url in settings.excluded_urls))
            RUNTIME.go_by(settings, sampler=sampler_of(settings), excluded=excluded if settings.excluded_urls else None)
            if settings.enabled:
                self._set_hooks()
                if settings.propagate_to_threads:
                    concurrency.install()
                integrations.install(settings)
                opentelemetry_libraries.install(settings)
                _set_up_logs(settings)
            else:
                set_root_handler(None)

    def configure_first(self, settings: Settings) -> None:
        """Go by these settings unless there were others before."""
        if self._settings is None:
            self.configure(settings)

    def shutdown(self, *, timeout_s: float) -> None:
        """End the exporter; a later `configure()`, with the same settings too, makes a new one."""
        with self._lock:
            self._settings = None
            self._stop_exporter(timeout_s=timeout_s)

    def after_fork(self) -> None:
        """In the child: the parent's thread is not here, and its queues are not ours to send."""
        exporter = RUNTIME.exporter
        if self._pid == os.getpid() and not (exporter is not None and exporter.is_held):
            # uWSGI may tell both Python and its own hook.
            return
        self._pid = os.getpid()
        self._lock = threading.Lock()
        ids.begin_anew()
        if exporter is not None:
            # Its thread is of no request, even if the fork was in the middle of one.
            run_outside(exporter.begin)
            _connect(exporter)
        ENDING.begin()
        children.finish_at_end_of_fork()

    @contextmanager
    def pausing(self) -> Iterator[None]:
        """Run a block without an export thread; a new one, with empty queues, follows it."""
        settings = self._settings if RUNTIME.exporter is not None else None
        if settings is not None:
            self._stop_exporter(timeout_s=PAUSE_TIMEOUT_S)
        try:
            yield
        finally:
            if settings is not None:
                self._replace_exporter(settings)

    def _replace_exporter(self, settings: Settings) -> None:
        if not settings.enabled:
            self._stop_exporter(timeout_s=DEFAULT_TIMEOUT_S)
            return
        # Not at the top: it takes longer to import than all the rest.
        from clew.exporting.exporter import Exporter

        before = RUNTIME.exporter
        exporter = run_outside(Exporter, settings, partial(describe_process, settings))
        if uwsgi.is_before_fork():
            exporter.hold(uwsgi.first_claim())
        else:
            run_outside(exporter.begin)
        # What is finished while the one before sends what it has goes to the new one.
        _connect(exporter)
        if before is not None:
            before.shutdown(timeout_s=DEFAULT_TIMEOUT_S)

    def _stop_exporter(self, *, timeout_s: float) -> None:
        exporter = RUNTIME.exporter
        RUNTIME.exporter, RUNTIME.put_span, RUNTIME.put_log = None, discard, discard
        if exporter is not None:
            exporter.shutdown(timeout_s=timeout_s)

    def _set_hooks(self) -> None:
        # Not known yet where a `sitecustomize` has called `configure()` first.
        uwsgi.install(self.after_fork)
        if self._has_hooks:
            return
        self._has_hooks = True
        _set_tracer_provider()
        stdlib_bridge.install()
        atexit.register(ENDING.finish)
        workers.install(pausing=self.pausing)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.after_fork)


_PROCESS: Final = _Process()


def _connect(exporter: "Exporter") -> None:
    RUNTIME.exporter = exporter
    RUNTIME.put_span = exporter.put_span
    RUNTIME.put_log = exporter.put_log


def _set_tracer_provider() -> None:
    present = trace.get_tracer_provider()
    if isinstance(present, trace.ProxyTracerProvider):
        trace.set_tracer_provider(LightTracerProvider())
        trace.set_tracer_provider = _set_other_tracer_provider
    elif not isinstance(present, LightTracerProvider):
        _step_aside(present)


def _set_other_tracer_provider(tracer_provider: trace.TracerProvider) -> None:
    """`opentelemetry.trace.set_tracer_provider` from now on: a provider that comes after clew's takes over from it."""
    if isinstance(trace.get_tracer_provider(), LightTracerProvider) and RUNTIME.sdk is None:
        trace._TRACER_PROVIDER = tracer_provider
        _step_aside(tracer_provider)
    else:
        trace._set_tracer_provider(tracer_provider, log=True)


def _step_aside(provider: trace.TracerProvider) -> None:
    """Let the service's own provider make the spans; those of tracers that were handed out before, too."""
    from clew.sdk import follow

    RUNTIME.sdk = follow(provider)
    logging.getLogger(LOGGER_NAME).warning(
        "OpenTelemetry has a tracer provider of the service's own (%s): it makes the spans, and a copy goes to %s",
        type(provider).__qualname__,
        RUNTIME.settings.endpoint,
    )


def _set_up_logs(settings: Settings) -> None:
    OUTPUT.go_by(settings)
    watch_structlog()
    if settings.log_format != "none" and (not structlog.is_configured() or is_structlog_ours()):
        configure_structlog(level=settings.log_level)
    else:
        join_structlog()
    set_root_handler(settings.log_level if settings.root_handler else None)
