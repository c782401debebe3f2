"""A collector that sends its own telemetry to itself: it says what there is to say, and then is quiet."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from clew_server.own_telemetry import LINES_SERVICE, PAGES_SERVICE
from tests.collector.otlp_builders import a_log, logs
from tests.server.running_clew import RunningClew, clew_up

QUIET_S = 10.0
SETTLED_S = 4.0
PROCESSES = 2
MAX_START_LINES = 2 * PROCESSES
PROTOBUF = {"content-type": "application/x-protobuf"}


def health_of(running: RunningClew) -> dict[str, Any]:
    form: dict[str, Any] = httpx.get(f"{running.dashboard_url}/health?format=json", timeout=30).json()
    return form


def accepted_of(running: RunningClew) -> dict[str, int]:
    return dict(health_of(running)["services"].get(LINES_SERVICE, {"logs": 0, "spans": 0}))


def settled(read: Callable[[], Any], *, for_s: float, timeout_s: float = 60) -> Any:
    """What is read, once it has not changed for some time."""
    deadline_s = time.monotonic() + timeout_s
    value, since_s = read(), time.monotonic()
    while time.monotonic() - since_s < for_s:
        assert time.monotonic() < deadline_s, f"it goes on: {value}"
        time.sleep(0.2)
        if (now := read()) != value:
            value, since_s = now, time.monotonic()
    return value


def pid_of(running: RunningClew, module: str) -> int:
    children = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children").read_text().split()
    [found] = [pid for pid in children if module.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")]
    return int(found)


def test_after_its_start_up_lines_a_quiet_collector_stores_nothing(tmp_path: Path) -> None:
    with clew_up(tmp_path / "data") as running:
        running.wait_for(lambda: accepted_of(running), lambda accepted: accepted["logs"] >= PROCESSES)
        before = settled(lambda: health_of(running)["stored"], for_s=SETTLED_S)
        for path in ("/metrics", "/healthz", "/readyz", "/health", "/requests?part=list", "/requests?format=json"):
            assert httpx.get(f"{running.dashboard_url}{path}").is_success

        watched_until_s = time.monotonic() + QUIET_S
        while time.monotonic() < watched_until_s:
            assert health_of(running)["stored"] == before
            time.sleep(0.5)

    assert before["spans"] == 0
    assert PROCESSES <= before["logs"] <= MAX_START_LINES


def test_a_page_that_is_opened_is_a_request_of_the_dashboards(tmp_path: Path) -> None:
    with clew_up(tmp_path / "data") as running:
        httpx.get(f"{running.dashboard_url}/requests", headers={"x-request-id": "opened-1", "accept": "text/html"})
        answer = running.wait_for(
            lambda: httpx.get(f"{running.dashboard_url}/requests/opened-1?format=json"),
            lambda answer: answer.is_success,
        )

    [span] = answer.json()["spans"]
    assert (span["service"], span["name"]) == (PAGES_SERVICE, "GET /requests")


def test_a_full_spool_is_no_stream_of_lines(tmp_path: Path) -> None:
    settings = tmp_path / "clew.yaml"
    settings.write_text("spool: {max_bytes: 1048576}\n")

    with clew_up(tmp_path / "data", "--config", str(settings)) as running:
        running.wait_for(lambda: accepted_of(running), lambda accepted: accepted["logs"] >= PROCESSES)
        before = settled(lambda: accepted_of(running), for_s=SETTLED_S)
        store = pid_of(running, "clew_server.store")
        os.kill(store, signal.SIGSTOP)
        try:
            fill(running)
            refused_until_s = time.monotonic() + QUIET_S
            while time.monotonic() < refused_until_s:
                assert send(running, "x" * 100_000) == 429
                time.sleep(0.2)
        finally:
            os.kill(store, signal.SIGCONT)
        after = settled(lambda: accepted_of(running), for_s=SETTLED_S)

    assert after["logs"] - before["logs"] <= 1


def fill(running: RunningClew) -> None:
    for number in range(200):
        if send(running, f"{number}" + "x" * 100_000) == 429:
            return
    raise AssertionError("the spool took it all")


def send(running: RunningClew, text: str) -> int:
    body = logs(a_log(text)).SerializeToString()
    return httpx.post(f"{running.otlp_url}/v1/logs", content=body, headers=PROTOBUF, timeout=30).status_code


def test_metrics_of_a_running_collector_tell_what_it_took_and_how_both_processes_fare(tmp_path: Path) -> None:
    with clew_up(tmp_path / "data") as running:
        assert send(running, "one") == 200
        running.wait_for(lambda: health_of(running), lambda health: health["stored"]["logs"] >= 1)
        text = httpx.get(f"{running.dashboard_url}/metrics").text
        ready = httpx.get(f"{running.dashboard_url}/readyz")

    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    taken = [sample.value for sample in samples if sample.name == "clew_accepted_records_total"]
    lags = [sample.value for sample in samples if sample.name == "clew_reader_lag_seconds"]
    assert sum(taken) >= 1
    assert all(0 < lag_s < 30 for lag_s in lags)
    assert {s.labels["process"] for s in samples if s.name == "process_cpu_seconds_total"} == {"intake", "store"}
    assert (ready.status_code, ready.text) == (200, "ready\n")


def test_a_collector_that_is_told_not_to_says_nothing_of_itself(tmp_path: Path) -> None:
    settings = tmp_path / "clew.yaml"
    settings.write_text("telemetry: {observe_itself: false}\n")

    with clew_up(tmp_path / "data", "--config", str(settings)) as running:
        httpx.get(f"{running.dashboard_url}/requests", headers={"accept": "text/html"})
        settled(lambda: health_of(running)["stored"], for_s=SETTLED_S)
        assert send(running, "one") == 200
        stored = running.wait_for(lambda: health_of(running)["stored"], lambda stored: stored["logs"] > 0)

    assert stored == {"logs": 1, "spans": 0}
