"""Lists for other programs: log records and services, as JSON only."""

from fastapi import APIRouter
from fastapi import Request as HttpRequest
from starlette.responses import Response

from clew_collector.json_form import page_to_json
from clew_dashboards.dashboard import Dashboard, json_answer
from clew_dashboards.filters import read_log_query


def router(dashboard: Dashboard) -> APIRouter:
    """`/logs` and `/services`."""
    routes = APIRouter()

    @routes.get("/logs")
    def list_logs(http: HttpRequest) -> Response:
        query, problems = read_log_query(http.query_params, now_ns=dashboard.now_ns())
        if problems:
            message = "; ".join(f"{problem.parameter}: {problem.message}" for problem in problems)
            return json_answer({"error": message}, status_code=422)
        return json_answer(page_to_json(dashboard.store.search_logs(query)))

    @routes.get("/services")
    def list_services() -> Response:
        return json_answer({"items": list(dashboard.store.services()), "next": None})

    return routes
