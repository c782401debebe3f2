"""How the collector fares."""

from collections.abc import Mapping

from fastapi import APIRouter
from fastapi import Request as HttpRequest
from starlette.responses import Response

from clew_dashboards.dashboard import Dashboard, json_answer, wants_json
from clew_dashboards.health import Health
from clew_dashboards.service_drops import ServiceDrops
from clew_dashboards.views.health import health_page


def router(dashboard: Dashboard) -> APIRouter:
    """`/health`."""
    routes = APIRouter()
    drops = ServiceDrops()

    @routes.get("/health")
    def show_health(http: HttpRequest) -> Response:
        health = dashboard.health()
        by_services = drops.recent(dashboard.store, now_ns=dashboard.now_ns())
        if wants_json(http):
            return json_answer(health_to_json(health, by_services))
        return dashboard.page("health.html", health=health_page(health, by_services))

    return routes


def health_to_json(health: Health, dropped_by_services: Mapping[str, Mapping[str, int]]) -> dict[str, object]:
    """The JSON twin of the page."""
    return {
        "stored": {"logs": health.stored.logs, "spans": health.stored.spans},
        "accepted": dict(health.accepted),
        "duplicate": dict(health.duplicate),
        "refused": dict(health.refused),
        "dropped": dict(health.dropped),
        "dropped_by_services": {service: dict(totals) for service, totals in dropped_by_services.items()},
        "spool": {
            "payloads": health.spool_payloads,
            "bytes": health.spool_bytes,
            "oldest_age_s": health.oldest_age_s,
        },
    }
