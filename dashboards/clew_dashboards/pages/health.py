"""How the collector fares."""

from fastapi import APIRouter
from fastapi import Request as HttpRequest
from starlette.responses import Response

from clew_dashboards.dashboard import Dashboard, json_answer, wants_json
from clew_dashboards.health import Health
from clew_dashboards.views.health import health_page


def router(dashboard: Dashboard) -> APIRouter:
    """`/health`."""
    routes = APIRouter()

    @routes.get("/health")
    def show_health(http: HttpRequest) -> Response:
        health = dashboard.health()
        if wants_json(http):
            return json_answer(health_to_json(health))
        return dashboard.page("health.html", health=health_page(health))

    return routes


def health_to_json(health: Health) -> dict[str, object]:
    """The JSON twin of the page."""
    return {
        "stored": {"logs": health.stored.logs, "spans": health.stored.spans},
        "accepted": dict(health.accepted),
        "duplicate": dict(health.duplicate),
        "refused": dict(health.refused),
        "dropped": dict(health.dropped),
        "spool": {
            "payloads": health.spool_payloads,
            "bytes": health.spool_bytes,
            "oldest_age_s": health.oldest_age_s,
        },
    }
