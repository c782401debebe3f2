"""Falcon, WSGI and ASGI: every request followed, the URI template as its route, the exceptions that become a 500."""

from collections.abc import Mapping
from typing import Any

import falcon
import falcon.asgi

from clew.clients.wrapping import AnyFunction, wrap
from clew.frameworks import entrance
from clew.frameworks.http_server import note_error, note_route


def instrument(app: Any) -> Any:
    """Follow this application, in place; twice is the same as once."""
    _observe()
    entrance.follow_one(app, _around(type(app)))
    return app


def instrument_class(owner: type) -> None:
    """Follow every application of a class; twice is the same as once."""
    _observe()
    entrance.follow_class(owner, _around(owner))


def _around(owner: type) -> entrance.Around:
    return entrance.asgi if issubclass(owner, falcon.asgi.App) else entrance.wsgi


def _observe() -> None:
    # A middleware of Falcon's own kind would see a route only when those before it let the request pass, and no error.
    wrap(falcon.App, "_get_responder", _around_routing)
    wrap(falcon.App, "_handle_exception", _around_handler)
    wrap(falcon.asgi.App, "_handle_exception", _around_async_handler)


def _around_routing(original: AnyFunction) -> AnyFunction:
    def _get_responder(self: Any, req: Any) -> Any:
        found = original(self, req)
        template = found[3]
        if template is not None:
            note_route(_found(req), f"{req.root_path.rstrip('/')}{template}")
        return found

    return _get_responder


def _around_handler(original: AnyFunction) -> AnyFunction:
    def _handle_exception(self: Any, req: Any, resp: Any, ex: Exception, *args: Any, **kwargs: Any) -> Any:
        note_error(_found(req), ex)
        return original(self, req, resp, ex, *args, **kwargs)

    return _handle_exception


def _around_async_handler(original: AnyFunction) -> AnyFunction:
    async def _handle_exception(self: Any, req: Any, resp: Any, ex: Exception, *args: Any, **kwargs: Any) -> Any:
        note_error(_found(req), ex)
        return await original(self, req, resp, ex, *args, **kwargs)

    return _handle_exception


def _found(req: Any) -> Mapping[str, Any]:
    found: Mapping[str, Any] = req.scope if isinstance(req, falcon.asgi.Request) else req.env
    return found
