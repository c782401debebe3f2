"""Services that report to Zipkin are received on its own port and followed like any other."""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.collector.otlp_builders import T0_NS, a_log, logs, traces
from tests.collector.otlp_builders import a_span as an_otlp_span
from tests.collector.receivers.test_otlp_http import PROTOBUF
from tests.collector.receivers.test_zipkin import BAD, GOOD, JSON
from tests.collector.zipkin_builders import T0_US, a_span, body_of
from tests.server.running_clew import RunningClew, clew, clew_up

DATA = Path(__file__).parents[1] / "data"
ENTRY, CALL, QUERY, PAY = "0a" * 8, "0b" * 8, "0c" * 8, "0d" * 8


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningClew]:
    with clew_up(tmp_path_factory.mktemp("zipkin")) as running:
        yield running


def report(running: RunningClew, body: bytes, *, path: str = "/api/v2/spans", **headers: str) -> httpx.Response:
    url = f"{running.zipkin_url}{path}"
    return httpx.post(url, content=body, headers={**JSON, **headers}, timeout=30)


def form_of(running: RunningClew, id: str, *, spans: int, logs: int = 0) -> dict[str, Any]:
    """The JSON of a request, from when all its records are there."""
    url = f"{running.dashboard_url}/requests/{id}?format=json"

    def is_whole(answer: httpx.Response) -> bool:
        form = answer.json()
        return answer.is_success and (len(form["spans"]), len(form["logs"])) == (spans, logs)

    form: dict[str, Any] = running.wait_for(lambda: httpx.get(url), is_whole).json()
    return form


def parents_by_name(form: dict[str, Any]) -> dict[str, str | None]:
    """For each span, by service and name, the service and name of its parent; `None` where none is there."""
    names = {span["span_id"]: f"{span['service']} {span['name']}" for span in form["spans"]}
    assert len(names) == len(form["spans"]), "an ID is there twice"
    return {names[span["span_id"]]: names.get(span["parent_span_id"]) for span in form["spans"]}


def test_spans_are_found_by_the_trace_id_that_their_reporter_writes(running: RunningClew) -> None:
    body = (DATA / "zipkin" / "skew.json").read_bytes()

    assert report(running, gzip.compress(body), **{"content-encoding": "gzip"}).status_code == 202

    form = form_of(running, "1e223ff1f80f1c69", spans=4)
    assert form["trace_ids"] == ["00000000000000001e223ff1f80f1c69"]
    assert form == form_of(running, "00000000000000001e223ff1f80f1c69", spans=4)
    assert parents_by_name(form) == {
        "servicea get": None,
        "servicea post": "servicea get",
        "serviceb post": "servicea post",
        "serviceb async": "serviceb post",
    }
    printed = clew("request", "1e223ff1f80f1c69", "--data", str(running.data))
    assert "2 services, 4 spans" in printed.stdout


def test_a_real_export_of_v1_is_followed(running: RunningClew) -> None:
    body = (DATA / "train-ticket-zipkin" / "booking.json").read_bytes()

    assert report(running, body, path="/api/v1/spans").status_code == 202

    parents = parents_by_name(form_of(running, "28694298ee036999", spans=13))
    assert parents["ts-preserve-service http:/preserve"] is None
    assert parents["ts-security-service http:/security/check"] == "ts-preserve-service http:/security/check"
    assert list(parents.values()).count(None) == 1


def test_a_request_that_came_half_over_otlp_and_half_over_zipkin_is_one(running: RunningClew) -> None:
    """A clew service calls one that joins its span over B3, which calls another clew service."""
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    entry = an_otlp_span("POST /checkout", trace=trace, span=ENTRY, correlation_id="half-and-half")
    call = an_otlp_span("GET", trace=trace, span=CALL, parent=ENTRY, kind=Span.SPAN_KIND_CLIENT, start_ns=T0_NS + 1)
    pay = an_otlp_span("POST /pay", trace=trace, span=PAY, parent=QUERY, start_ns=T0_NS + 9_000)
    line = a_log("in stock", trace=trace, span=CALL)
    half = a_span(traceId=trace, id=CALL, parentId=ENTRY, shared=True, timestamp=T0_US + 2)
    query = a_span(traceId=trace, id=QUERY, parentId=CALL, kind="CLIENT", name="post", timestamp=T0_US + 3)

    assert report(running, body_of(query, half)).status_code == 202
    for body, service in (((entry, call), "orders"), ((pay,), "payments")):
        content = traces(*body, service=service).SerializeToString()
        assert httpx.post(f"{running.otlp_url}/v1/traces", content=content, headers=PROTOBUF).status_code == 200
    content = logs(line, service="stock").SerializeToString()
    assert httpx.post(f"{running.otlp_url}/v1/logs", content=content, headers=PROTOBUF).status_code == 200

    form = form_of(running, "half-and-half", spans=5, logs=1)
    assert form["services"] == ["orders", "stock", "payments"]
    assert parents_by_name(form) == {
        "orders POST /checkout": None,
        "orders GET": "orders POST /checkout",
        "stock get /stock": "orders GET",
        "stock post": "stock get /stock",
        "payments POST /pay": "stock post",
    }
    assert form_of(running, trace, spans=5, logs=1) == form


def test_a_correlation_id_in_a_tag_names_the_request(running: RunningClew) -> None:
    report(running, body_of(a_span(traceId="77" * 8, tags={"correlation.id": "req-zipkin", "error": "no stock"})))

    [span] = form_of(running, "req-zipkin", spans=1)["spans"]

    assert (span["correlation_id"], span["status"], span["status_message"]) == ("req-zipkin", "error", "no stock")


def test_what_a_sender_sends_again_is_stored_once(running: RunningClew) -> None:
    body = body_of(a_span(traceId="5e" * 8, timestamp=None))

    assert [report(running, body).status_code for _ in range(3)] == [202, 202, 202]
    assert report(running, gzip.compress(body), **{"content-encoding": "gzip"}).status_code == 202
    report(running, body_of(a_span(traceId="5e" * 8, id="0f")))

    form_of(running, "5e" * 8, spans=2)
    health = httpx.get(f"{running.dashboard_url}/health?format=json").json()
    assert health["duplicate"]["traces"] == 3


def test_every_bad_body_gets_its_answer_and_the_next_good_one_is_taken(running: RunningClew) -> None:
    small = {name: case for name, case in BAD.items() if case[3] != 413}

    for name, (path, body, headers, status, reason) in small.items():
        answer = httpx.post(f"{running.zipkin_url}{path}", content=body, headers=headers)
        assert (answer.status_code, reason in answer.text) == (status, True), name
        assert report(running, GOOD).status_code == 202, f"after {name}"

    def refused() -> int:
        form = httpx.get(f"{running.dashboard_url}/health?format=json").json()
        return int(form["refused"].get("zipkin: bad payload", 0))

    assert running.wait_for(refused, lambda count: count > 0) > 0


def test_the_limit_is_that_of_otlp_as_sent_and_as_decompressed(running: RunningClew) -> None:
    bomb = gzip.compress(bytes(200 << 20))

    assert report(running, bytes((16 << 20) + 1)).status_code == 413
    assert report(running, bomb, **{"content-encoding": "gzip"}).status_code == 413
    assert report(running, orjson.dumps([])).status_code == 202


def test_it_says_that_it_is_up_as_zipkin_does(running: RunningClew) -> None:
    assert httpx.get(f"{running.zipkin_url}/health").json() == {"status": "UP"}
