"""Starlette and FastAPI: every request and websocket followed, and the exceptions that become a 500."""

import functools
import inspect
import sys
from typing import Any, Final

from opentelemetry._logs import _internal as logs
from opentelemetry.metrics import _internal as metrics
from starlette.applications import Starlette
from starlette.middleware.exceptions import ExceptionMiddleware

from clew.clients.wrapping import AnyFunction, wrap
from clew.frameworks.asgi import ClewMiddleware
from clew.frameworks.http_server import note_error

_INSTRUMENTORS: Final = (
    ("opentelemetry.instrumentation.fastapi", "FastAPIInstrumentor"),
    ("opentelemetry.instrumentation.starlette", "StarletteInstrumentor"),
)


def instrument(app: Starlette) -> Starlette:
    """Follow this application, in place and from outside of all its middleware; twice is the same as once."""
    wrap(ExceptionMiddleware, "add_exception_handler", _around_adding)
    _take_over(app)
    build: Any = app.build_middleware_stack
    if getattr(build, "func", None) is not _build_outermost:
        app.build_middleware_stack = functools.partial(_build_outermost, build)  # type: ignore[method-assign]
        if app.middleware_stack is not None:
            app.middleware_stack = ClewMiddleware(app.middleware_stack)
    _leave_tracing_to_us(app)
    return app


def _leave_tracing_to_us(app: Any) -> None:
    """FastAPI >= 0.165 would start its own spans before it comes to its middleware. Its metrics and logs stay.

    It asks three providers at each request whether there is anything to do, for 2 us; usually one look tells that.
    """
    telemetry = getattr(app, "_telemetry", None)
    if not isinstance(telemetry, dict):
        return
    telemetry["tracing"] = False
    native = getattr(app, "_native_telemetry", None)
    is_enabled = getattr(native, "enabled", None)
    if native is None or is_enabled is None or hasattr(is_enabled, "is_clews"):
        return

    def enabled() -> bool:
        return _has_providers(telemetry) and bool(is_enabled())

    enabled.is_clews = True  # type: ignore[attr-defined]
    native.enabled = enabled


def _has_providers(telemetry: "dict[str, Any]") -> bool:
    """Whether anybody takes metrics or logs."""
    return (
        getattr(metrics, "_METER_PROVIDER", metrics) is not None
        or getattr(logs, "_LOGGER_PROVIDER", logs) is not None
        or telemetry.get("meter_provider") is not None
        or telemetry.get("logger_provider") is not None
    )


def _take_over(app: Starlette) -> None:
    """Switch OpenTelemetry's own instrumentation of this app off: it would make a second span of each request."""
    if not getattr(app, "_is_instrumented_by_opentelemetry", False):
        return
    has_begun = app.middleware_stack is not None
    for module, name in _INSTRUMENTORS:
        instrumentor: Any = getattr(sys.modules.get(module), name, None)
        if instrumentor is not None:
            instrumentor.uninstrument_app(app)
    if not has_begun:
        # They build it, and then no middleware could be added any more.
        app.middleware_stack = None


def _build_outermost(build: Any) -> ClewMiddleware:
    return ClewMiddleware(build())


def _around_adding(original: AnyFunction) -> AnyFunction:
    """Each handler that is added once an app begins to serve notes what it handles."""

    def add_exception_handler(self: Any, exc_class_or_status_code: Any, handler: AnyFunction) -> None:
        original(self, exc_class_or_status_code, _noting(handler))

    return add_exception_handler


def _noting(handler: AnyFunction) -> AnyFunction:
    # Starlette calls a plain function in a thread. An object may be called like either.
    is_async = inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(type(handler).__call__)

    @functools.wraps(handler)
    def handle(connection: Any, error: Exception) -> Any:
        note_error(connection.scope, error)
        return handler(connection, error)

    @functools.wraps(handler)
    async def handle_async(connection: Any, error: Exception) -> Any:
        note_error(connection.scope, error)
        return await handler(connection, error)

    return handle_async if is_async else handle
