"""Litestar: every request and websocket followed, and the exceptions that become a 500."""

from typing import Any

from litestar import Litestar

from clew.frameworks.asgi import ClewMiddleware
from clew.frameworks.http_server import note_error
from clew.frameworks.lifespan import flush_before_exit


def instrument(app: Litestar) -> Litestar:
    """Follow this application, in place; twice is the same as once."""
    if not isinstance(app.asgi_handler, ClewMiddleware):
        app.asgi_handler = ClewMiddleware(app.asgi_handler)  # type: ignore[assignment, arg-type]
        app.after_exception.append(_failed)
        # The lifespan does not go through the handler; these are called last, after all contexts have been left.
        app.on_shutdown.append(flush_before_exit)
    return app


async def _failed(error: Exception, scope: Any) -> None:
    note_error(scope, error)
