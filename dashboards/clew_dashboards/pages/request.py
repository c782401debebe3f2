"""One request across all services."""

from fastapi import APIRouter
from fastapi import Request as HttpRequest
from starlette.responses import RedirectResponse, Response

from clew_collector.json_form import request_to_json
from clew_dashboards.dashboard import Dashboard, json_answer, wants_json
from clew_dashboards.views.details import details
from clew_dashboards.views.request import header
from clew_dashboards.views.waterfall import waterfall

_ADVICE = (
    "Check that the ID is whole: it is matched exactly, letter by letter. A request that has just ended takes a few "
    "seconds to arrive; one older than the store's retention is gone. The list of requests finds an ID by its start."
)


def router(dashboard: Dashboard) -> APIRouter:
    """`/requests/{id}`."""
    routes = APIRouter()

    @routes.get("/requests/{id:path}")
    def show_request(http: HttpRequest, id: str) -> Response:
        if not id:
            return RedirectResponse("/requests", status_code=307)
        request = dashboard.store.request(id)
        if request is None:
            return _not_found(http, id)
        if wants_json(http):
            return json_answer(request_to_json(request))
        hue_of = dashboard.hues_of(request.services)
        shown = waterfall(request, hue_of=hue_of)
        return dashboard.page(
            "request.html",
            header=header(request, hue_of=hue_of),
            waterfall=shown,
            details=details(request, shown),
            tab="logs" if http.query_params.get("tab") == "logs" else "timeline",
        )

    def _not_found(http: HttpRequest, id: str) -> Response:
        message = f"No request has the correlation ID or trace ID {id[:300]!r}."
        if wants_json(http):
            return json_answer({"error": message, "advice": _ADVICE, "id": id}, status_code=404)
        return dashboard.page("not_found.html", status_code=404, id=id, advice=_ADVICE)

    return routes
