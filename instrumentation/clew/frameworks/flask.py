"""Flask: every request followed, the URL rule as its route, and the exceptions that become a 500."""

from typing import Any

from flask import Flask, request
from flask.signals import got_request_exception, request_started

from clew.clients.wrapping import AnyFunction, wrap
from clew.frameworks.http_server import note_error, note_route
from clew.frameworks.wsgi import ClewWSGIMiddleware


def instrument(app: Flask) -> Flask:
    """Follow this application, in place; twice is the same as once."""
    request_started.connect(_matched)
    got_request_exception.connect(_failed)
    wrap(Flask, "handle_user_exception", _around_handler)
    if not isinstance(app.wsgi_app, ClewWSGIMiddleware):
        app.wsgi_app = ClewWSGIMiddleware(app.wsgi_app)  # type: ignore[method-assign]
    return app


def _matched(_app: Flask, **_more: object) -> None:
    rule = request.url_rule
    if rule is not None:
        note_route(request.environ, f"{request.environ.get('SCRIPT_NAME', '')}{rule.rule}")


def _failed(_app: Flask, exception: BaseException | None = None, **_more: object) -> None:
    note_error(request.environ, exception)


def _around_handler(original: AnyFunction) -> AnyFunction:
    """`handle_user_exception`: what an `errorhandler` makes an answer of is not signalled. Newer Flasks pass a context
    before the exception."""

    def handle_user_exception(self: Flask, *args: Any, **kwargs: Any) -> Any:
        error = args[-1] if args else kwargs.get("e")
        if isinstance(error, BaseException):
            note_error(request.environ, error)
        return original(self, *args, **kwargs)

    return handle_user_exception
