"""Whatever is thrown at a running collector: the right answer, and it stays up, and what is odd but valid is kept."""

import gzip
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.collector.otlp_builders import T0_NS, a_log, a_span, logs, traces
from tests.collector.receivers.test_otlp_http import BAD, GOOD, PROTOBUF
from tests.server.running_clew import RunningClew, clew_up

MIB = 1 << 20


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningClew]:
    with clew_up(tmp_path_factory.mktemp("bad-input")) as running:
        yield running


def send(running: RunningClew, path: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
    return httpx.post(f"{running.otlp_url}{path}", content=body, headers=headers, timeout=30)


def form_of(running: RunningClew, id: str) -> httpx.Response:
    url = f"{running.dashboard_url}/requests/{id}?format=json"
    return running.wait_for(lambda: httpx.get(url), lambda answer: answer.is_success)


def test_every_bad_body_gets_its_answer_and_the_next_good_one_is_taken(running: RunningClew) -> None:
    small = {name: case for name, case in BAD.items() if case[3] != 413}

    for name, (path, body, headers, status, _) in small.items():
        assert send(running, path, body, headers).status_code == status, name
        assert send(running, "/v1/logs", GOOD, PROTOBUF).status_code == 200, f"after {name}"


def test_the_limit_is_sixteen_mebibytes_as_sent_and_as_decompressed(running: RunningClew) -> None:
    bomb = gzip.compress(bytes(600 * MIB))
    largest = logs(a_log("x" * (16 * MIB - 500), trace="7" * 32, correlation_id="largest")).SerializeToString()

    assert send(running, "/v1/logs", bytes(16 * MIB + 1), PROTOBUF).status_code == 413
    assert send(running, "/v1/logs", bomb, {**PROTOBUF, "content-encoding": "gzip"}).status_code == 413
    assert send(running, "/v1/logs", largest, PROTOBUF).status_code == 200
    assert len(form_of(running, "largest").json()["logs"][0]["body"]) == 16 * MIB - 500


def test_bombs_side_by_side_do_not_take_it_down(running: RunningClew) -> None:
    bomb = gzip.compress(bytes(200 * MIB))
    headers = {**PROTOBUF, "content-encoding": "gzip"}

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: send(running, "/v1/logs", bomb, headers).status_code, range(16)))

    assert statuses == [413] * 16
    assert send(running, "/v1/logs", GOOD, PROTOBUF).status_code == 200


def test_odd_but_valid_records_are_taken_whole(running: RunningClew) -> None:
    endless, timeless = a_span("endless", correlation_id="odd"), a_span("timeless", span="c" * 16)
    endless.end_time_unix_nano = 0
    timeless.start_time_unix_nano = timeless.end_time_unix_nano = 2**64 - 1
    no_ids = a_span("no IDs", trace="00" * 16, span="00" * 8, correlation_id="odd", start_ns=T0_NS + 5)
    large = a_span("large", span="d" * 16, more={"large": "x" * MIB})
    unknown_field = b"\xf2\x06\x05hello"  # field 110, which no version of OTLP has
    body = traces(endless, timeless, no_ids, large).SerializeToString() + unknown_field

    assert send(running, "/v1/traces", body, PROTOBUF).status_code == 200

    spans = {span["name"]: span for span in form_of(running, "odd").json()["spans"]}
    assert set(spans) == {"endless", "timeless", "no IDs", "large"}
    assert spans["endless"]["duration_ns"] is None
    assert spans["no IDs"]["trace_id"] is None
    assert len(spans["large"]["attributes"]["large"]) == MIB


def test_connections_that_break_off_or_talk_nonsense_do_no_harm(running: RunningClew) -> None:
    url = httpx.URL(running.otlp_url)
    for words in (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # a TLS client
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/logs HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\ncontent-length: 1000\r\n\r\nx",
        b"POST /v1/logs HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ):
        with socket.create_connection((url.host, url.port or 0), timeout=5) as connection:
            connection.sendall(words)
    assert send(running, "/v1/logs", GOOD, PROTOBUF).status_code == 200


def test_refusals_are_on_the_health_page(running: RunningClew) -> None:
    send(running, "/v1/logs", b"\xff", PROTOBUF)

    def refused() -> int:
        form = httpx.get(f"{running.dashboard_url}/health?format=json").json()
        return int(form["refused"].get("logs: bad payload", 0))

    assert running.wait_for(refused, lambda count: count > 0) > 0
