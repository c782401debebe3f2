"""`clew.instrument(app)`: the frameworks that are known, and what following their applications takes."""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any, Final, NamedTuple, TypeVar

from clew.frameworks.asgi import ClewMiddleware
from clew.frameworks.wsgi import ClewWSGIMiddleware
from clew.logs.structlog_chain import join_structlog
from clew.runtime import RUNTIME

AppT = TypeVar("AppT")


class Framework(NamedTuple):
    """A framework, by the class that its applications are of. A new one is a module and a line in `FRAMEWORKS`."""

    import_name: str
    """What users import: once that is done, the framework is complete."""

    module: str
    """Where the class is defined."""

    name: str
    own_module: str
    """Ours, with `instrument(app)`; and with `instrument_class(owner)` where a new application is to be left alone."""

    def owner(self) -> type | None:
        """The class; None as long as nobody has imported it."""
        found = getattr(sys.modules.get(self.module), self.name, None)
        return found if isinstance(found, type) else None

    def load(self) -> ModuleType:
        """Our module, imported now, and the framework with it."""
        return import_module(f"clew.frameworks.{self.own_module}")


FRAMEWORKS: Final = (
    Framework("starlette.applications", "starlette.applications", "Starlette", "starlette"),
    Framework("fastapi", "fastapi.applications", "FastAPI", "starlette"),
    Framework("litestar", "litestar.app", "Litestar", "litestar"),
    Framework("quart", "quart.app", "Quart", "quart"),
    Framework("flask", "flask.app", "Flask", "flask"),
    Framework("falcon", "falcon.app", "App", "falcon"),
    Framework("falcon.asgi", "falcon.asgi.app", "App", "falcon"),
    Framework("django.core.handlers.wsgi", "django.core.handlers.wsgi", "WSGIHandler", "django"),
    Framework("django.core.handlers.asgi", "django.core.handlers.asgi", "ASGIHandler", "django"),
)

# By name: OpenTelemetry's instrumentation puts another class in the place of some of them.
_BY_CLASS: Final = {(framework.module, framework.name): framework for framework in FRAMEWORKS}


def instrument(app: AppT) -> AppT:
    """Follow every request of a FastAPI, Starlette, Litestar, Quart, Flask, Falcon or Django app. Twice is as once.

    In place: what comes back is the app itself; but for Django's `application`, which comes back wrapped. Any other
    app: `ClewMiddleware(app)` for ASGI, `ClewWSGIMiddleware(app)` for WSGI; for such a one this raises `TypeError`.
    """
    instrumented: Any = app
    if not isinstance(app, (ClewMiddleware, ClewWSGIMiddleware)):
        instrumented = _framework_of(app).load().instrument(app)
    # A service may have set structlog up since `configure()`.
    if RUNTIME.exporter is not None:
        join_structlog()
    return instrumented  # type: ignore[no-any-return]


def _framework_of(app: object) -> Framework:
    for owner in type(app).__mro__:
        framework = _BY_CLASS.get((owner.__module__, owner.__qualname__))
        if framework is not None:
            return framework
    raise TypeError(
        f"clew.instrument: a FastAPI, Starlette, Litestar, Quart, Flask, Falcon or Django app is needed, got "
        f"{type(app).__name__}; wrap others in clew.ClewMiddleware (ASGI) or clew.ClewWSGIMiddleware (WSGI)"
    )
