"""The health record: the collector hears of what was dropped."""

import logging
from typing import Any

import pytest

import clew
from clew.exporting import counters
from clew.runtime import RUNTIME
from tests.instrumentation.exporting.peers import Answer, closed_port, http_peer
from tests.instrumentation.fake_collector import FakeCollector, Reply, attributes_of


def make_spans(*names: str) -> None:
    for name in names:
        clew.get_tracer("test").start_span(name).end()


def health_records(collector: FakeCollector) -> list[dict[str, Any]]:
    return [
        attributes_of(log.attributes)
        for request in collector.log_requests
        for resource in request.resource_logs
        for scope in resource.scope_logs
        if scope.scope.name == "clew.health"
        for log in scope.log_records
    ]


def test_the_totals_are_sent_once_they_have_changed(collector: FakeCollector) -> None:
    collector.replies = [Reply(400)]
    clew.configure("orders", endpoint=collector.url)

    make_spans("a", "b", "c")
    clew.flush()
    make_spans("d")
    clew.flush()
    clew.flush()

    assert health_records(collector) == [{"event.name": "clew.dropped", "clew.dropped.spans.rejected": 3}]


def test_the_record_is_a_log_of_the_same_service(collector: FakeCollector) -> None:
    collector.replies = [Reply(400)]
    clew.configure("orders", endpoint=collector.url)

    make_spans("a")
    clew.flush()

    [request] = collector.log_requests
    resource = attributes_of(request.resource_logs[0].resource.attributes)
    [log] = collector.logs
    assert resource["service.name"] == "orders"
    assert resource["service.instance.id"]
    assert log.severity_text == "WARN"
    assert log.body.string_value == "clew has dropped 1 spans and 0 logs since this process began"


def test_nothing_is_sent_when_nothing_was_dropped(exported: FakeCollector) -> None:
    make_spans("a")
    logging.getLogger("shop").warning("hello")
    clew.flush()
    clew.shutdown()

    assert health_records(exported) == []


def test_the_final_flush_does_not_wait_for_ten_seconds(collector: FakeCollector) -> None:
    collector.replies = [Reply(400)]
    clew.configure("orders", endpoint=collector.url)
    make_spans("a")
    clew.flush()
    collector.replies = [Reply(400)]
    make_spans("b")
    clew.flush()
    assert len(health_records(collector)) == 1

    clew.shutdown()

    assert [record["clew.dropped.spans.rejected"] for record in health_records(collector)] == [1, 2]


def test_it_comes_through_when_the_queue_is_full(collector: FakeCollector) -> None:
    collector.replies = [Reply(503, (("Retry-After", "1"),)), Reply(503, (("Retry-After", "1"),))]
    clew.configure("orders", endpoint=collector.url, max_queue_records=10, batch_delay_s=0.05)
    logging.getLogger("shop").warning("refused")
    clew.flush()
    for number in range(100):
        logging.getLogger("shop").warning("line %d", number)

    [record] = collector.wait_for(lambda: health_records(collector))

    assert record["clew.dropped.logs.queue_full"] >= 80


def test_a_collector_that_rejects_logs_is_not_asked_for_ever() -> None:
    with http_peer(lambda path, _body: Answer(400 if "logs" in path else 200)) as peer:
        clew.configure("orders", endpoint=peer.url)
        logging.getLogger("shop").warning("hello")
        for _ in range(3):
            clew.flush()
            clew.shutdown()
            clew.flush()

        assert len([path for path in peer.asked if path == "/v1/logs"]) == 2


def test_what_clew_says_of_itself_is_in_no_count(collector: FakeCollector) -> None:
    collector.replies = [Reply(400)]
    clew.configure("orders", endpoint=collector.url)

    make_spans("a")
    clew.flush()

    assert len(health_records(collector)) == 1
    assert counters()["logs"].sent == 0


@pytest.mark.parametrize("setting", [{"max_queue_records": 100}, {"max_queue_bytes": 65_536}])
def test_counts_say_why(setting: dict[str, int]) -> None:
    clew.configure("orders", endpoint=f"http://127.0.0.1:{closed_port()}", **setting)  # type: ignore[arg-type]
    for _ in range(1_000):
        logging.getLogger("shop").warning("x" * 1_000)

    [(reason, records)] = counters()["logs"].dropped.items()

    assert reason == ("queue_full" if "max_queue_records" in setting else "queue_bytes")
    assert records > 500
    assert RUNTIME.exporter is not None
    assert RUNTIME.exporter.logs.queue.waiting_bytes <= 65_536 * 4
