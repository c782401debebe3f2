import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

import clew
from clew_demo.messaging.events import Message
from clew_demo.messaging.outbox import Outbox
from tests.demo_services.messaging.brokers import a_database, consuming, relaying
from tests.instrumentation.fake_collector import FakeCollector, attributes_of, running_collector
from tests.waiting import wait_until

QUEUE = "shipping.events"


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCollector]:
    """What this process reports."""
    with running_collector() as collector:
        clew.configure(service="orders", endpoint=collector.url)
        yield collector
        clew.shutdown(0.5)
        structlog.reset_defaults()


def write_in_a_request(folder: Path) -> Any:
    database = a_database(folder)
    with clew.request("place order", correlation_id="r-1"), database.write() as statements:
        Outbox.add(statements, "order.paid", {"order_id": "o-1"})
    return database


def spans_by_name(exported: FakeCollector, *names: str) -> dict[str, Any]:
    def found() -> dict[str, Any]:
        clew.flush()
        return {span.name: span for span in exported.spans}

    wait_until(lambda: set(names) <= set(found()))
    return found()


def test_a_relayed_message_and_its_work_are_part_of_the_request_that_wrote_it(
    tmp_path: Path, broker_url: str, exported: FakeCollector
) -> None:
    seen: list[str | None] = []

    with (
        relaying(write_in_a_request(tmp_path), broker_url),
        consuming(broker_url, QUEUE, lambda message: seen.append(clew.correlation_id())),
    ):
        wait_until(lambda: bool(seen))
    names = ("place order", "relay order.paid", "publish shop.events:order.paid", f"process {QUEUE}")
    spans = spans_by_name(exported, *names)
    request, relay, publishing, processing = (spans[name] for name in names)

    assert seen == ["r-1"]
    assert {span.trace_id for span in (relay, publishing, processing)} == {request.trace_id}
    assert publishing.parent_span_id == relay.span_id
    assert processing.parent_span_id == publishing.span_id
    assert [link.span_id for link in processing.links] == [publishing.span_id]
    assert {attributes_of(span.attributes)["correlation.id"] for span in spans.values()} == {"r-1"}


def test_each_attempt_is_part_of_the_request_and_failed_ones_show_it(
    tmp_path: Path, broker_url: str, exported: FakeCollector
) -> None:
    done = threading.Event()

    def fail_once(message: Message) -> None:
        if message.attempt == 1:
            raise ConnectionError("warehouse is closed")
        done.set()

    with (
        relaying(write_in_a_request(tmp_path), broker_url),
        consuming(broker_url, QUEUE, fail_once, retry_after_s=0.01),
    ):
        wait_until(done.is_set)
    spans_by_name(exported, f"publish {QUEUE}", f"process {QUEUE}")
    first, second = sorted(
        (span for span in exported.spans if span.name == f"process {QUEUE}"), key=lambda span: span.start_time_unix_nano
    )

    assert first.trace_id == second.trace_id
    assert attributes_of(first.attributes)["error.type"].endswith("ConnectionError")
    assert attributes_of(second.attributes)["correlation.id"] == "r-1"
    (line,) = [log for log in exported.logs if log.body.string_value == "message failed, trying again"]
    assert (line.trace_id, line.span_id) == (first.trace_id, first.span_id)


@pytest.mark.parametrize("continues", [True, False])
def test_a_consumer_that_drops_the_headers_works_in_a_request_of_its_own(
    tmp_path: Path, broker_url: str, exported: FakeCollector, continues: bool
) -> None:
    seen: list[str | None] = []

    with (
        relaying(write_in_a_request(tmp_path), broker_url),
        consuming(
            broker_url,
            QUEUE,
            lambda message: seen.append(clew.correlation_id()),
            continues_requests=lambda: continues,
        ),
    ):
        wait_until(lambda: bool(seen))
    spans = spans_by_name(exported, "place order", f"process {QUEUE}")

    assert (seen == ["r-1"]) is continues
    assert (spans[f"process {QUEUE}"].trace_id == spans["place order"].trace_id) is continues
