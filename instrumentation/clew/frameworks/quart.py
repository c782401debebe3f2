"""Quart: every request and websocket followed, the URL rule as its route, and the exceptions that become a 500."""

from collections.abc import Mapping
from typing import Any

from quart import Quart, has_request_context, request, websocket
from quart.signals import got_request_exception, got_websocket_exception, request_started, websocket_started

from clew.clients.wrapping import AnyFunction, wrap
from clew.frameworks.asgi import ClewMiddleware
from clew.frameworks.http_server import note_error, note_route


def instrument(app: Quart) -> Quart:
    """Follow this application, in place; twice is the same as once."""
    for started in (request_started, websocket_started):
        started.connect(_matched)
    for failed in (got_request_exception, got_websocket_exception):
        failed.connect(_failed)
    wrap(Quart, "handle_user_exception", _around_handler)
    if not isinstance(app.asgi_app, ClewMiddleware):
        app.asgi_app = ClewMiddleware(app.asgi_app)  # type: ignore[method-assign, assignment, arg-type]
    return app


# Quart sends plain functions to a thread.
async def _matched(_app: Quart, **_more: object) -> None:
    current = request if has_request_context() else websocket
    rule = current.url_rule
    if rule is not None:
        note_route(_scope(), f"{current.root_path.rstrip('/')}{rule.rule}")


async def _failed(_app: Quart, exception: BaseException | None = None, **_more: object) -> None:
    note_error(_scope(), exception)


def _around_handler(original: AnyFunction) -> AnyFunction:
    """`handle_user_exception`: what an `errorhandler` makes an answer of is not signalled."""

    async def handle_user_exception(self: Quart, *args: Any, **kwargs: Any) -> Any:
        error = args[-1] if args else kwargs.get("error")
        if isinstance(error, BaseException):
            note_error(_scope(), error)
        return await original(self, *args, **kwargs)

    return handle_user_exception


def _scope() -> Mapping[str, Any]:
    return request.scope if has_request_context() else websocket.scope
