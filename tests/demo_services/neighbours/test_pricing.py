import socket
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from clew_demo.pricing import b3
from clew_demo.pricing.discounts import discount_percent
from clew_demo.pricing.reporter import MAX_QUEUED, Reporter
from tests.demo_services.neighbours.processes import CALLER, SPAN_ID, TRACE_ID, RunningService, running_service
from tests.demo_services.neighbours.zipkin_sink import ZipkinSink
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("callers_have_no_clew")

SINGLE = {"b3": f"{TRACE_ID}-{SPAN_ID}-1"}
MULTIPLE = {"x-b3-traceid": TRACE_ID, "x-b3-spanid": SPAN_ID, "x-b3-sampled": "1"}


@pytest.fixture(scope="module")
def zipkin() -> Iterator[ZipkinSink]:
    with ZipkinSink() as sink:
        yield sink


@pytest.fixture(scope="module")
def pricing(zipkin: ZipkinSink, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with running_service(
        "pricing", tmp_path_factory.mktemp("pricing"), env={"CLEW_DEMO_ZIPKIN": zipkin.url}
    ) as service:
        yield service


def span_of(zipkin: ZipkinSink, pricing: RunningService, headers: dict[str, str], path: str) -> dict[str, Any]:
    """The span of one request of this path."""
    httpx.get(f"{pricing.url}{path}", headers=headers, trust_env=False)

    def found() -> list[dict[str, Any]]:
        return [span for span in zipkin.spans if span["tags"]["http.path"] == path]

    wait_until(lambda: bool(found()))
    return found()[-1]


@pytest.mark.parametrize(("headers", "product"), [(SINGLE, "moka-pot"), (MULTIPLE, "press-french")])
def test_b3_is_continued_in_a_server_span(
    zipkin: ZipkinSink, pricing: RunningService, headers: dict[str, str], product: str
) -> None:
    before_us = time.time_ns() // 1000

    span = span_of(zipkin, pricing, headers | {"X-Request-ID": CALLER["X-Request-ID"]}, f"/prices/{product}")

    assert (span["traceId"], span["parentId"]) == (TRACE_ID, SPAN_ID)
    assert span["id"] != SPAN_ID
    assert (span["kind"], span["name"]) == ("SERVER", "get /prices/{product_id}")
    assert before_us <= span["timestamp"] < span["timestamp"] + span["duration"] <= time.time_ns() // 1000
    assert span["localEndpoint"]["serviceName"] == "pricing"
    assert span["tags"] == {
        "http.method": "GET",
        "http.path": f"/prices/{product}",
        "http.route": "/prices/{product_id}",
        "http.status_code": "200",
        "x-request-id": CALLER["X-Request-ID"],
    }


def test_a_caller_without_b3_begins_a_trace(zipkin: ZipkinSink, pricing: RunningService) -> None:
    span = span_of(zipkin, pricing, {"traceparent": CALLER["traceparent"]}, "/prices/unicorn")

    assert span["traceId"] != TRACE_ID
    assert len(span["traceId"]) == 32
    assert "parentId" not in span
    assert span["tags"]["http.status_code"] == "404"


def test_what_is_not_sampled_is_not_reported(zipkin: ZipkinSink, pricing: RunningService) -> None:
    httpx.get(f"{pricing.url}/prices/grinder-hand", headers={"b3": f"{TRACE_ID}-{SPAN_ID}-0"}, trust_env=False)
    span_of(zipkin, pricing, SINGLE, "/prices/scale-timer")

    assert not [span for span in zipkin.spans if span["tags"]["http.path"] == "/prices/grinder-hand"]


def test_the_last_spans_are_sent_when_the_service_ends(zipkin: ZipkinSink, tmp_path: Path) -> None:
    with running_service("pricing", tmp_path, env={"CLEW_DEMO_ZIPKIN": zipkin.url}) as service:
        service.get("/prices/mug-stoneware")
        service.stop()

    assert [span for span in zipkin.spans if span["tags"]["http.path"] == "/prices/mug-stoneware"]


def test_without_a_zipkin_spans_are_counted_and_dropped(tmp_path: Path) -> None:
    with running_service("pricing", tmp_path) as service:
        prices = [service.get("/prices/moka-pot").status_code for _ in range(3)]
        service.stop()

    assert prices == [200] * 3
    assert service.output.count("no address of a Zipkin is given") == 1
    assert "spans dropped: 3" in service.output


def test_a_zipkin_that_refuses_costs_spans_and_no_request(tmp_path: Path) -> None:
    with ZipkinSink() as zipkin, running_service("pricing", tmp_path, env={"CLEW_DEMO_ZIPKIN": zipkin.url}) as service:
        zipkin.status = 503
        assert service.get("/prices/moka-pot").status_code == 200
        wait_until(lambda: "Zipkin did not take 1 spans" in service.output)
        zipkin.status = 202
        service.get("/prices/press-french")
        wait_until(lambda: bool(zipkin.spans))

    assert [span["tags"]["http.path"] for span in zipkin.spans] == ["/prices/press-french"]


def test_a_zipkin_that_hangs_does_not_hold_up_the_end(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        env = {"CLEW_DEMO_ZIPKIN": f"http://127.0.0.1:{deaf.getsockname()[1]}/api/v2/spans"}
        with running_service("pricing", tmp_path, env=env) as service:
            service.get("/prices/moka-pot")

            assert service.stop() < 3


def test_a_full_queue_drops_instead_of_growing() -> None:
    reporter = Reporter("http://127.0.0.1:9/api/v2/spans")  # not started: nothing is sent

    for _ in range(MAX_QUEUED + 7):
        reporter.report({})

    assert reporter.dropped == 7


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"b3": f"{TRACE_ID}-{SPAN_ID}"}, (TRACE_ID, SPAN_ID, True)),
        ({"b3": f"{TRACE_ID}-{SPAN_ID}-d"}, (TRACE_ID, SPAN_ID, True)),
        ({"b3": f"{TRACE_ID}-{SPAN_ID}-0"}, (TRACE_ID, SPAN_ID, False)),
        ({"b3": f"{TRACE_ID}-{SPAN_ID}-1-{'c' * 16}"}, (TRACE_ID, SPAN_ID, True)),
        ({"b3": f"{TRACE_ID[:16]}-{SPAN_ID}-1"}, (TRACE_ID[:16], SPAN_ID, True)),
        ({**MULTIPLE, "x-b3-sampled": "0"}, (TRACE_ID, SPAN_ID, False)),
    ],
)
def test_every_form_of_b3_is_read(headers: dict[str, str], expected: tuple[str, str, bool]) -> None:
    ids = b3.continued(headers, random=Random(1))

    assert (ids.trace_id, ids.parent_id, ids.is_sampled) == expected


@pytest.mark.parametrize("value", ["", "0", "nonsense", f"{'g' * 32}-{SPAN_ID}-1", f"{TRACE_ID}-{SPAN_ID}-7"])
def test_what_is_not_b3_begins_a_trace(value: str) -> None:
    ids = b3.continued({"b3": value}, random=Random(1))

    assert ids.parent_id is None
    assert ids.trace_id != TRACE_ID
    assert ids.is_sampled == (value != "0")


@pytest.mark.parametrize(
    ("category", "hour", "percent"),
    [("tea", 14, 0), ("tea", 15, 10), ("tea", 17, 10), ("tea", 18, 0), ("brewing", 15, 0)],
)
def test_a_category_is_cheaper_in_its_happy_hours(category: str, hour: int, percent: int) -> None:
    assert discount_percent(category, hour) == percent
