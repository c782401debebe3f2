"""How the collector fares."""

from collections.abc import Mapping

from fastapi import APIRouter
from fastapi import Request as HttpRequest
from starlette.responses import Response

from clew_dashboards.dashboard import Dashboard, json_answer, wants_json
from clew_dashboards.health import Health, ReaderHealth, ServiceHealth, SourceHealth
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
        # `part=numbers` asks for what changes, again and again.
        template = "health_numbers.html" if http.query_params.get("part") == "numbers" else "health.html"
        return dashboard.page(template, health=health_page(health, by_services))

    return routes


def health_to_json(health: Health, dropped_by_services: Mapping[str, Mapping[str, int]]) -> dict[str, object]:
    """The JSON twin of the page."""
    return {
        "stored": {"logs": health.stored.logs, "spans": health.stored.spans},
        "accepted": dict(health.accepted),
        "duplicate": dict(health.duplicate),
        "refused": dict(health.refused),
        "dropped": dict(health.dropped),
        "left_out": dict(health.left_out),
        "dropped_by_services": {service: dict(totals) for service, totals in dropped_by_services.items()},
        "spool": {
            "payloads": health.spool_payloads,
            "bytes": health.spool_bytes,
            "oldest_age_s": health.oldest_age_s,
        },
        "sources": {source.name: _source_to_json(source) for source in health.sources},
        "services": {service.name: _service_to_json(service) for service in health.services},
        "other_services": None if health.other_services is None else _service_to_json(health.other_services),
        "readers": {reader.name: _reader_to_json(reader) for reader in health.readers},
        "dead_letters": {
            "count": health.dead_letters.count,
            "bytes": health.dead_letters.bytes,
            "oldest_age_s": health.dead_letters.oldest_age_s,
            "last_reason": health.dead_letters.last_reason,
            "see": "clew deadletter list",
        },
    }


def _source_to_json(source: SourceHealth) -> dict[str, dict[str, int]]:
    return {
        "accepted": dict(source.accepted),
        "duplicate": dict(source.duplicate),
        "refused": dict(source.refused),
        "dropped": dict(source.dropped),
    }


def _service_to_json(service: ServiceHealth) -> dict[str, int]:
    return {"logs": service.logs, "spans": service.spans}


def _reader_to_json(reader: ReaderHealth) -> dict[str, object]:
    return {
        "payloads": reader.payloads,
        "bytes": reader.bytes,
        "oldest_age_s": reader.oldest_age_s,
        "lag_s": dict(reader.lag_s),
        "stored": dict(reader.stored),
        "outage": reader.outage,
    }
