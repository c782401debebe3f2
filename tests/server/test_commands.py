"""The commands as a user runs them, each in a process of its own."""

import signal
import socket
import sqlite3
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from clew_collector.stores.duckdb import DuckDBStore
from tests.collector.otlp_builders import a_log, a_span, logs, traces
from tests.server.running_clew import RunningClew, clew, clew_up

DATA = Path(__file__).parents[1] / "data"
NEZHA = sorted(str(path) for path in (DATA / "nezha").glob("*.gz"))
LARGEST = "6b2b4dcad2925d3cd2f6fe8a3c3c237b"
PROTOBUF = {"content-type": "application/x-protobuf"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningClew]:
    with clew_up(tmp_path_factory.mktemp("running")) as running:
        yield running


def form_of(running: RunningClew, id: str, *, spans: int, logs: int = 0) -> dict[str, Any]:
    """The JSON of a request, from when all its records are there."""
    url = f"{running.dashboard_url}/requests/{id}?format=json"

    def is_whole(answer: httpx.Response) -> bool:
        form = answer.json()
        return answer.is_success and (len(form["spans"]), len(form["logs"])) == (spans, logs)

    form: dict[str, Any] = running.wait_for(lambda: httpx.get(url), is_whole).json()
    return form


def is_open(url: str) -> bool:
    parsed = httpx.URL(url)
    with socket.socket() as probe:
        return probe.connect_ex((parsed.host, parsed.port or 80)) == 0


def test_what_is_sent_can_be_asked_for_over_http_and_by_command(running: RunningClew) -> None:
    for path, body in (
        ("/v1/traces", traces(a_span("POST /orders", correlation_id="req-42", error="declined"), service="orders")),
        ("/v1/logs", logs(a_log("card declined", correlation_id="req-42", severity=17), service="orders")),
    ):
        answer = httpx.post(f"{running.otlp_url}{path}", content=body.SerializeToString(), headers=PROTOBUF)
        assert answer.status_code == 200

    form = form_of(running, "req-42", spans=1, logs=1)
    printed = clew("request", "req-42", "--data", str(running.data))

    assert form["services"] == ["orders"]
    assert "POST /orders" in printed.stdout
    assert "declined" in printed.stdout
    assert printed.returncode == 0


def test_the_dashboard_answers_by_local_names_only(running: RunningClew) -> None:
    url = httpx.URL(running.dashboard_url)

    statuses = [
        httpx.get(f"{url}/requests", headers={"host": f"{name}:{url.port}"}).status_code
        for name in ("127.0.0.1", "localhost", "evil.example")
    ]

    assert statuses == [200, 200, 400]


def test_an_unknown_id_is_one_line_and_status_1(running: RunningClew) -> None:
    result = clew("request", "no-such", "--data", str(running.data))

    assert (result.returncode, result.stdout) == (1, "")
    assert "no request has the ID 'no-such'" in result.stderr


@pytest.mark.parametrize("is_running", [True, False], ids=["running", "nothing running"])
def test_a_real_minute_is_imported_whole(running: RunningClew, tmp_path: Path, is_running: bool) -> None:
    data = running.data if is_running else tmp_path

    imported = clew("import", *NEZHA, "--data", str(data))

    assert imported.returncode == 0, imported.stderr
    assert "took 6,142 log records and 11,969 spans" in imported.stderr
    if is_running:
        form_of(running, LARGEST, spans=200, logs=111)
    printed = clew("request", LARGEST, "--data", str(data))
    assert "18 services, 200 spans, 111 logs" in printed.stdout
    assert "PreserveController.preserve" in printed.stdout


def test_imported_twice_the_second_time_adds_nothing(tmp_path: Path) -> None:
    clew("import", *NEZHA, "--data", str(tmp_path))

    again = clew("import", *NEZHA, "--data", str(tmp_path))

    assert "took 0 log records and 0 spans" in again.stderr
    assert "left out 18,111 records" in again.stderr
    store = DuckDBStore(tmp_path)
    assert (store.counts().logs, store.counts().spans) == (6142, 11969)
    store.close()


def test_a_bad_file_is_refused_by_name_and_the_rest_is_kept(tmp_path: Path) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"resourceLogs": 7}\n')

    result = clew("import", str(bad), str(DATA / "otlp-examples" / "trace.json"), "--data", str(tmp_path / "data"))

    assert result.returncode == 1
    assert "bad.jsonl: line 1:" in result.stderr
    assert "0 log records and 1 spans" in result.stderr


def test_json_of_a_request_is_what_the_page_gives(running: RunningClew) -> None:
    body = traces(a_span("GET /json", trace="7" * 32, correlation_id="req-json")).SerializeToString()
    httpx.post(f"{running.otlp_url}/v1/traces", content=body, headers=PROTOBUF)
    form = form_of(running, "req-json", spans=1)

    printed = clew("request", "req-json", "--json", "--data", str(running.data))

    assert httpx.Response(200, content=printed.stdout).json() == form


def test_a_port_in_use_is_one_line_and_status_2(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = clew("up", "--data", str(tmp_path), "--port", "0", "--otlp-port", str(port))

    assert result.returncode == 2
    assert result.stderr.strip().splitlines() == [
        f"clew: cannot listen on 127.0.0.1:{port}: Address already in use; "
        "choose another port with --otlp-port or receivers.otlp_http.port"
    ]


# Not even root may write there; the last one exists.
@pytest.mark.parametrize("place", ["/proc/clew", "/dev/null/clew", "/proc"])
def test_a_data_directory_that_cannot_be_used_is_one_line_and_status_2(place: str) -> None:
    result = clew("up", "--data", place, "--port", "0", "--otlp-port", "0")

    assert result.returncode == 2
    assert len(result.stderr.strip().splitlines()) == 1
    assert f"cannot use the data directory {place}" in result.stderr


def test_data_of_a_newer_version_is_one_line_and_status_2(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "spool.sqlite")
    connection.execute("PRAGMA user_version = 99")
    connection.close()

    result = clew("up", "--data", str(tmp_path), "--port", "0", "--otlp-port", "0")

    assert result.returncode == 2
    assert len(result.stderr.strip().splitlines()) == 1
    assert "written by a newer clew" in result.stderr


def test_a_store_of_a_newer_version_is_one_line_and_status_2(tmp_path: Path) -> None:
    store = DuckDBStore(tmp_path)
    store._root.execute("UPDATE spans_file.format SET version = 99")
    store.close()

    result = clew("up", "--data", str(tmp_path), "--port", "0", "--otlp-port", "0")

    assert result.returncode == 2
    assert len(result.stderr.strip().splitlines()) == 1
    assert "spans.duckdb: written by a newer clew" in result.stderr


def test_a_second_clew_on_the_same_data_is_told_where_the_first_is(running: RunningClew) -> None:
    result = clew("up", "--data", str(running.data), "--port", "0", "--otlp-port", "0")

    assert result.returncode == 2
    assert running.dashboard_url in result.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_everything_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    with clew_up(tmp_path) as running:
        running.process.send_signal(number)
        status = running.process.wait(10)

    assert status == 0
    assert not is_open(running.dashboard_url)
    assert not is_open(running.otlp_url)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent was killed")
def test_killing_the_supervisor_takes_its_processes_along(tmp_path: Path) -> None:
    with clew_up(tmp_path) as running:
        running.process.kill()
        deadline_s = time.monotonic() + 15
        while is_open(running.otlp_url) or is_open(running.dashboard_url):
            assert time.monotonic() < deadline_s, "still listening"
            time.sleep(0.05)


def test_a_command_without_data_says_how_to_get_some(tmp_path: Path) -> None:
    result = clew("request", "x", "--data", str(tmp_path / "none"))

    assert result.returncode == 2
    assert "start one with `clew up`" in result.stderr


@pytest.mark.parametrize("command", ["", "up", "demo", "import", "request"])
def test_every_command_explains_itself(command: str) -> None:
    result = clew(*filter(None, [command]), "--help")

    assert result.returncode == 0
    assert len(result.stdout.splitlines()) > 8
