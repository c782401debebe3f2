"""A span for each page that a person opens, and none for what programs ask again and again."""

from typing import Final

from fastapi import FastAPI
from fastapi import Request as HttpRequest
from starlette.types import ASGIApp, Receive, Scope, Send

import clew
from clew.frameworks.http_server import SERVED
from clew.incoming import exclude
from clew_dashboards.dashboard import wants_json
from clew_server.own_telemetry import is_observed
from clew_server.probes import PROBED_PATHS
from clew_server.sink_states import SINKS_PATH

_POLLED_PATHS: Final = ("/health", "/logs", "/services", SINKS_PATH, *PROBED_PATHS)


def follow_pages(app: FastAPI) -> None:
    """Follow the dashboard, if this process is observed. What is polled (lists that renew themselves, JSON, health,
    metrics, static files) makes no spans: it would fill the list of requests by being looked at."""
    if is_observed():
        app.add_middleware(_OnlyPages)
        clew.instrument(app)


class _OnlyPages:
    """Inside of clew's middleware: takes its span back where a program asks."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the call on."""
        served = scope.get(SERVED)
        if served is not None and _is_polled(scope):
            exclude(served.span)
        await self._app(scope, receive, send)


def _is_polled(scope: Scope) -> bool:
    http = HttpRequest(scope)
    path = http.url.path
    is_renewed = "part" in http.query_params
    return is_renewed or wants_json(http) or path in _POLLED_PATHS or path.startswith("/static/")
