"""The list of requests, newest first."""

from fastapi import APIRouter
from fastapi import Request as HttpRequest
from starlette.responses import RedirectResponse, Response

from clew_collector.json_form import page_to_json
from clew_collector.model import Counts, Page, RequestSummary
from clew_dashboards.dashboard import Dashboard, json_answer, request_path, wants_json
from clew_dashboards.filters import Filters, read_filters
from clew_dashboards.views.requests import request_list

_FULL_TRACE_ID_CHARS = 32


def router(dashboard: Dashboard) -> APIRouter:
    """`/requests`."""
    routes = APIRouter()

    @routes.get("/requests")
    def show_requests(http: HttpRequest) -> Response:
        filters = read_filters(http.query_params, now_ns=dashboard.now_ns())
        if filters.problems:
            return _refuse(http, filters)
        page = dashboard.store.search_requests(filters.query)
        if wants_json(http):
            return json_answer(page_to_json(page))
        # `part=list` asks for the list alone, again and again; 204 tells htmx to leave it as it is.
        part = filters.given.get("part") == "list"
        if not part and (meant := _exact_match(filters, page)):
            return RedirectResponse(request_path(meant), status_code=303)
        services = dashboard.store.services()
        shown = request_list(
            page,
            filters=filters,
            hue_of=dashboard.hues_of(services),
            services=services,
            nothing_stored=_nothing_stored(filters, page),
        )
        if part and filters.given.get("seen") == shown.seen:
            return Response(status_code=204)
        template = "requests_list.html" if part else "requests.html"
        return dashboard.page(template, shown=shown, given=filters.given, services=services, problems=())

    def _nothing_stored(filters: Filters, page: Page[RequestSummary]) -> bool:
        asked_for_all = not filters.narrowing and "cursor" not in filters.given
        return asked_for_all and not page.items and dashboard.store.counts() == Counts(logs=0, spans=0)

    def _refuse(http: HttpRequest, filters: Filters) -> Response:
        if wants_json(http):
            problems = [{"parameter": problem.parameter, "message": problem.message} for problem in filters.problems]
            message = "; ".join(f"{problem.parameter}: {problem.message}" for problem in filters.problems)
            return json_answer({"error": message, "problems": problems}, status_code=422)
        return dashboard.page(
            "requests.html",
            status_code=422,
            shown=None,
            given=filters.given,
            services=dashboard.store.services(),
            problems=filters.problems,
        )

    return routes


def _exact_match(filters: Filters, page: Page[RequestSummary]) -> str | None:
    """The request whose whole ID was given: there is nothing to choose from, so the list need not be shown."""
    asked = filters.query.id
    if asked is None or "cursor" in filters.given:
        return None
    for item in page.items:
        if asked in (item.id, item.correlation_id, item.trace_id):
            return item.id
    # A later trace of a request is not named in the list, but no two requests share a whole trace ID.
    return asked if len(page.items) == 1 and len(asked) == _FULL_TRACE_ID_CHARS else None
