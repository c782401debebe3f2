"""Switching clew on: `configure()`, `instrument(app)`, and the way back.

The one module that knows all the others. What it sets up belongs to the process (the tracer provider, `logging`,
structlog, httpx), so it is set up once and only replaced where settings have changed.
"""

import atexit
import logging
import os
import re
import sys
import threading
from functools import partial
from typing import Any, Final, TypeVar, Unpack

import structlog
from opentelemetry import trace

from clew import integrations, opentelemetry_libraries
from clew.exporting.exporter import Exporter
from clew.exporting.outage import LOGGER_NAME
from clew.frameworks.asgi import ClewMiddleware
from clew.logs import stdlib_bridge
from clew.logs.rendering import (
    configure_structlog,
    is_structlog_ours,
    join_structlog,
    output_format,
    set_root_handler,
)
from clew.resource import describe_process
from clew.runtime import EXIT_TIMEOUT_S, RUNTIME, discard
from clew.sampling import sampler_of
from clew.settings import Arguments, Settings, read_settings
from clew.tracing import LightTracerProvider

DEFAULT_TIMEOUT_S: Final = 2.0

AppT = TypeVar("AppT")


def configure(service: str | None = None, **settings: Unpack[Arguments]) -> None:
    """Switch clew on for this process: `clew.configure(service="orders")`. Twice is the same as once; other settings
    replace the ones before.

    The settings are those of `clew.settings.Settings`, each explained there. What is not given comes from `CLEW_*`
    variables (`CLEW_ENDPOINT`...), then from OpenTelemetry's, then from defaults. Call it after
    `structlog.configure()`, if the service has its own. Raises `ValueError` for what cannot work.
    """
    _PROCESS.configure(read_settings({"service": service, **settings}))


def instrument(app: AppT) -> AppT:
    """Follow every request of a Starlette or FastAPI app, from outside of all its middleware. Twice is as once.

    Any other ASGI app: `app = ClewMiddleware(app)`. Raises `TypeError` for something that is neither.
    """
    build = getattr(app, "build_middleware_stack", None)
    if build is None:
        raise TypeError(f"clew.instrument: a Starlette or FastAPI app is needed, got {type(app).__name__}; wrap others")
    if getattr(build, "func", None) is not _build_outermost:
        outermost = partial(_build_outermost, build)
        app.build_middleware_stack = outermost  # type: ignore[attr-defined]
        stack = getattr(app, "middleware_stack", None)
        if stack is not None:
            app.middleware_stack = ClewMiddleware(stack)  # type: ignore[attr-defined]
    # A service may have set structlog up since `configure()`.
    if RUNTIME.exporter is not None:
        join_structlog()
    # FastAPI >= 0.165 would start its own spans before it comes to its middleware. Its metrics and logs stay.
    own_telemetry = getattr(app, "_telemetry", None)
    if isinstance(own_telemetry, dict):
        own_telemetry["tracing"] = False
    return app


def flush(timeout_s: float = DEFAULT_TIMEOUT_S) -> bool:
    """Wait until what is finished now has been sent; False if it was not within this time."""
    exporter = RUNTIME.exporter
    return exporter.flush(timeout_s=timeout_s) if exporter is not None else True


def shutdown(timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
    """Flush, and stop exporting; IDs are still made and carried on. `configure()` starts it again."""
    _PROCESS.shutdown(timeout_s=timeout_s)


class _Process:
    """What is set up in this process so far."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._settings: Settings | None = None
        self._has_hooks = False

    def configure(self, settings: Settings) -> None:
        """Go from the settings before to these."""
        with self._lock:
            if settings != self._settings:
                self._replace_exporter(settings)
            self._settings = settings
            RUNTIME.enabled = settings.enabled
            excluded = re.compile("|".join(f"(?:{url})" for url in settings.excluded_urls))
            RUNTIME.go_by(settings, sampler=sampler_of(settings), excluded=excluded if settings.excluded_urls else None)
            if settings.enabled:
                self._set_hooks()
                integrations.install(settings)
                opentelemetry_libraries.install(settings)
                _set_up_logs(settings)
            else:
                set_root_handler(None)

    def shutdown(self, *, timeout_s: float) -> None:
        """End the exporter; a later `configure()`, with the same settings too, makes a new one."""
        with self._lock:
            self._settings = None
            self._stop_exporter(timeout_s=timeout_s)

    def after_fork(self) -> None:
        """In the child: the parent's thread is not here, and its queues are not ours to send."""
        self._lock = threading.Lock()
        if RUNTIME.exporter is not None:
            RUNTIME.exporter.begin()
            _connect(RUNTIME.exporter)
        multiprocessing = sys.modules.get("multiprocessing.util")
        if multiprocessing is not None:
            # Its children end without `atexit`, and forget what was to be done at their parent's end after this.
            multiprocessing.register_after_fork(self, _finish_with_multiprocessing)

    def _replace_exporter(self, settings: Settings) -> None:
        self._stop_exporter(timeout_s=DEFAULT_TIMEOUT_S)
        if settings.enabled:
            resource = partial(describe_process, settings)
            _connect(Exporter(settings.endpoint.rstrip("/"), settings.headers, resource))

    def _stop_exporter(self, *, timeout_s: float) -> None:
        exporter = RUNTIME.exporter
        RUNTIME.exporter, RUNTIME.put_span, RUNTIME.put_log = None, discard, discard
        if exporter is not None:
            exporter.shutdown(timeout_s=timeout_s)

    def _set_hooks(self) -> None:
        if self._has_hooks:
            return
        self._has_hooks = True
        _set_tracer_provider()
        stdlib_bridge.install()
        atexit.register(_finish)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.after_fork)


_PROCESS: Final = _Process()


def _build_outermost(build: Any) -> ClewMiddleware:
    return ClewMiddleware(build())


def _connect(exporter: Exporter) -> None:
    RUNTIME.exporter = exporter
    RUNTIME.put_span = exporter.spans.queue.put
    RUNTIME.put_log = exporter.logs.queue.put


def _finish() -> None:
    if RUNTIME.exporter is not None:
        RUNTIME.exporter.finish(timeout_s=EXIT_TIMEOUT_S)


def _finish_with_multiprocessing(_process: _Process) -> None:
    from multiprocessing.util import Finalize

    # Any priority will do: without one it is not called when the child ends.
    Finalize(None, _finish, exitpriority=0)


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
    output = output_format(settings.log_format)
    if settings.log_format != "none" and (not structlog.is_configured() or is_structlog_ours()):
        configure_structlog(output, level=settings.log_level)
    else:
        join_structlog()
    set_root_handler(output if settings.root_handler else None, level=settings.log_level)
