"""Django, WSGI and ASGI: every request followed, the URL pattern as its route, and the exceptions that become a 500."""

import sys
from collections.abc import Mapping
from typing import Any

from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.base import BaseHandler
from django.core.signals import got_request_exception

from clew.clients.wrapping import AnyFunction, wrap
from clew.frameworks import entrance
from clew.frameworks.asgi import ClewMiddleware
from clew.frameworks.http_server import note_error, note_route
from clew.frameworks.wsgi import ClewWSGIMiddleware


def instrument(app: Any) -> Any:
    """The middleware around what `get_wsgi_application()` or `get_asgi_application()` gave.

    Django's signals name a handler's class as their sender, so that it stays what it is.
    """
    _observe()
    return ClewMiddleware(app) if isinstance(app, ASGIHandler) else ClewWSGIMiddleware(app)


def instrument_class(owner: type) -> None:
    """Follow every handler of a class; twice is the same as once."""
    _observe()
    entrance.follow_class(owner, entrance.asgi if issubclass(owner, ASGIHandler) else entrance.wsgi)


def _observe() -> None:
    wrap(BaseHandler, "resolve_request", _around_resolving)
    got_request_exception.connect(_failed, dispatch_uid=__name__)


def _around_resolving(original: AnyFunction) -> AnyFunction:
    def resolve_request(self: BaseHandler, request: Any) -> Any:
        match = original(self, request)
        mounted = request.META.get("SCRIPT_NAME", "").rstrip("/")
        # Patterns begin after the slash; an expression begins with what says so.
        note_route(_found(request), f"{mounted}/{str(match.route).removeprefix('^')}")
        return match

    return resolve_request


def _failed(request: Any = None, **_more: object) -> None:
    if request is not None:
        note_error(_found(request), sys.exc_info()[1])


def _found(request: Any) -> Mapping[str, Any]:
    """The request's scope or environ; a test's request has neither of a server's."""
    found: Mapping[str, Any] | None = getattr(request, "scope", None)
    return request.META if found is None else found
