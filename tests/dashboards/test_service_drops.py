"""What services dropped, by their own health records."""

from dataclasses import replace

import pytest

from clew_collector.model import Attributes, LogRecord
from clew_dashboards.app import create_app
from clew_dashboards.service_drops import KEPT_NS, PERIOD_NS, ServiceDrops, dropped_by_services
from tests.dashboards.asking import Asking
from tests.dashboards.builders import START_NS, a_log, a_request
from tests.dashboards.memory_store import MemoryStore


def a_health_record(
    attributes: Attributes, *, service: str = "orders", instance: str = "1", at_ms: float = 1
) -> LogRecord:
    log = a_log("clew has dropped 1 spans and 0 logs", service=service, severity=13, at_ms=at_ms)
    resource = {**log.resource, "service.instance.id": instance}
    return replace(log, attributes=attributes, resource=resource, scope="clew.health")


def asked(*logs: LogRecord) -> Asking:
    return Asking(create_app(MemoryStore([a_request([], logs)]), now_ns=lambda: START_NS))


def test_the_newest_record_of_each_instance_counts() -> None:
    old, new = ({"clew.dropped.spans.queue_full": number} for number in (5, 12))
    logs = [
        a_health_record(old, at_ms=1),
        a_health_record(new, at_ms=2),
        a_health_record({"clew.dropped.spans.queue_full": 1, "clew.dropped.logs.rejected": 3}, instance="2"),
        a_health_record({"clew.dropped.logs.queue_bytes": 4}, service="stock"),
    ]

    found = asked(*logs).get("/health?format=json").json()["dropped_by_services"]

    assert found == {"orders": {"logs.rejected": 3, "spans.queue_full": 13}, "stock": {"logs.queue_bytes": 4}}


def test_the_page_names_the_services_and_says_that_all_is_not_well() -> None:
    text = asked(a_health_record({"clew.dropped.spans.queue_full": 1_200})).get("/health").text

    assert "1,200 dropped by services before they were sent (orders)" in text
    assert "Dropped by orders, unsent" in text
    assert "spans, queue full" in text


@pytest.mark.parametrize(
    "log",
    [
        a_log("clew has dropped the ball", severity=13, attributes={"clew.dropped.spans.queue_full": 1}),
        a_health_record({"clew.dropped.spans.queue_full": "many", "clew.dropped.logs.rejected": -1, "other": 3}),
        a_health_record({"clew.dropped.spans.queue_full": True}),
        a_health_record({}),
    ],
    ids=["another's line", "no counts", "a flag", "nothing"],
)
def test_what_is_no_health_record_counts_nothing(log: LogRecord) -> None:
    assert asked(log).get("/health?format=json").json()["dropped_by_services"] == {}


def test_the_question_is_about_the_last_day() -> None:
    class Watched(MemoryStore):
        def search_logs(self, query):  # type: ignore[no-untyped-def]
            self.query = query
            return super().search_logs(query)

    store = Watched()
    dropped_by_services(store, now_ns=START_NS)

    assert store.query.from_ns == START_NS - PERIOD_NS
    assert store.query.min_severity == 13


def test_who_polls_the_page_does_not_search_the_logs_each_time() -> None:
    store = MemoryStore([])
    drops = ServiceDrops()

    assert drops.recent(store, now_ns=START_NS) == {}
    store.add(a_request([], [a_health_record({"clew.dropped.spans.queue_full": 7})]))

    assert drops.recent(store, now_ns=START_NS + KEPT_NS - 1) == {}
    assert drops.recent(store, now_ns=START_NS + KEPT_NS) == {"orders": {"spans.queue_full": 7}}
