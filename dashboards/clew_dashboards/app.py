"""The dashboard as an ASGI application."""

import time
from collections.abc import Callable, Sequence

from fastapi import FastAPI
from fastapi import Request as HttpRequest
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import RedirectResponse, Response

from clew_collector.errors import ClewError, StoreUnavailable
from clew_collector.stores.base import Store
from clew_dashboards.dashboard import Dashboard, json_answer, templates_for, wants_json
from clew_dashboards.health import Health
from clew_dashboards.pages import health as health_page
from clew_dashboards.pages import lists
from clew_dashboards.pages import request as request_page
from clew_dashboards.pages import requests as requests_page
from clew_dashboards.palette import Palette
from clew_dashboards.security import SecurityHeaders
from clew_dashboards.static_files import STATIC_FOLDER, KeptStaticFiles, static_version


def create_app(
    store: Store,
    *,
    health: Callable[[], Health] | None = None,
    now_ns: Callable[[], int] = time.time_ns,
    allowed_hosts: Sequence[str] = ("*",),
) -> FastAPI:
    """The dashboard over this store.

    `health` says how the collector fares; without it the health page shows only what is stored. Nothing is asked of
    the store until a page is. `allowed_hosts` are the names by which it may be asked: without a login, a web page from
    elsewhere must not reach it by a name of its own that points here (DNS rebinding).
    """
    static_path = f"/static/{static_version()}"
    dashboard = Dashboard(
        store=store,
        health=health or (lambda: Health(stored=store.counts(), accepted={}, refused={}, dropped={})),
        templates=templates_for(static_path),
        palette=Palette(),
        now_ns=now_ns,
    )
    app = FastAPI(title="clew", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=allowed_hosts)
    app.mount(static_path, KeptStaticFiles(directory=STATIC_FOLDER))
    app.add_api_route("/", _to_requests, include_in_schema=False)
    for page in (requests_page, request_page, health_page, lists):
        app.include_router(page.router(dashboard))
    _explain_errors(app, dashboard)
    return app


def _to_requests() -> Response:
    return RedirectResponse("/requests", status_code=307)


def _explain_errors(app: FastAPI, dashboard: Dashboard) -> None:
    """Answer every error with a page, or with JSON where that was asked for."""

    def answer(http: HttpRequest, status_code: int, title: str, message: str, advice: str) -> Response:
        if wants_json(http):
            return json_answer({"error": message, "advice": advice}, status_code=status_code)
        return dashboard.page("error.html", status_code=status_code, title=title, message=message, advice=advice)

    async def on_http_error(http: HttpRequest, error: Exception) -> Response:
        status_code = error.status_code if isinstance(error, HTTPException) else 500
        if status_code == 404:
            message = f"There is no page at {http.url.path}."
            return answer(http, 404, "No such page", message, "There are /requests, /requests/ID and /health.")
        return answer(http, status_code, "That did not work", str(getattr(error, "detail", error)), "")

    async def on_unavailable(http: HttpRequest, error: Exception) -> Response:
        return answer(http, 503, "The store cannot answer now", str(error), "Try again in a moment; see /health.")

    async def on_refused(http: HttpRequest, error: Exception) -> Response:
        return answer(http, 400, "That cannot be asked", str(error), "")

    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(StoreUnavailable, on_unavailable)
    app.add_exception_handler(ClewError, on_refused)
