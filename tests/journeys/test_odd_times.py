"""Times of last week, of 1970, 2100, none at all, before or beyond what can be counted: kept, found and shown."""

import json
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.collector.otlp_builders import a_log, a_span, logs, traces
from tests.server.running_clew import RunningClew, clew, clew_up

PROTOBUF: Final = {"content-type": "application/x-protobuf"}
JSON: Final = {"content-type": "application/json"}
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
LAST_MOMENT_NS: Final = 2**63 - 2
HOUR_NS: Final = 3_600 * 10**9
STARTED: Final = datetime.now(UTC)
NAMED: Final = {
    "last-week": STARTED - timedelta(days=7),
    "1970": EPOCH + timedelta(seconds=1),
    "2100": datetime(2100, 1, 1, tzinfo=UTC),
}
"""Times that every way in can say."""


def ns_of(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1) * 1000


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningClew]:
    folder = tmp_path_factory.mktemp("odd-times")
    (folder / "app.log").write_text("".join(json.dumps(line) + "\n" for line in tailed()))
    config = folder / "clew.yaml"
    config.write_text(
        "telemetry: {observe_itself: false}\n"
        f"receivers: {{tail: [{{paths: [{folder}/app.log], service: files, start_at: beginning}}]}}\n"
    )
    with clew_up(folder / "data", "--config", str(config)) as running:
        yield running


FILES_ODD: Final = {
    "zero": 0,
    "negative": -5,
    "first moment": EPOCH.isoformat(),
    "before 1970": "1960-01-01T00:00:00Z",
    "beyond 2262": "2300-01-01T00:00:00Z",
}
"""Times that are none; 0 is what a writer has that was not told the time."""


def tailed() -> list[dict[str, Any]]:
    moments = {name: moment.isoformat() for name, moment in NAMED.items()}
    return [{"time": time, "msg": f"files {name}"} for name, time in {**moments, **FILES_ODD}.items()]


def found_logs(running: RunningClew, text: str, **filters: Any) -> list[dict[str, Any]]:
    answer = httpx.get(f"{running.dashboard_url}/logs", params={"text": text, "limit": 1000, **filters})
    assert answer.is_success, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def one_log(running: RunningClew, body: str, **filters: Any) -> dict[str, Any]:
    [found] = running.wait_for(lambda: found_logs(running, body, **filters), lambda items: len(items) == 1)
    return found


def is_listed(running: RunningClew, id: str, **filters: Any) -> bool:
    answer = httpx.get(f"{running.dashboard_url}/requests", params={"format": "json", "limit": 1000, **filters})
    assert answer.is_success, answer.text
    return any(item["correlation_id"] == id or item["trace_id"] == id for item in answer.json()["items"])


def check_log(running: RunningClew, body: str, time_ns: int) -> None:
    """It is there with its time, found by a range around that, not by one before or after it."""
    around = {"from": max(0, time_ns - HOUR_NS), "to": min(LAST_MOMENT_NS + 1, time_ns + HOUR_NS)}
    assert abs(one_log(running, body, **around)["time_ns"] - time_ns) < 10**9
    if time_ns > 2 * HOUR_NS:
        assert found_logs(running, body, **{"from": 0, "to": time_ns - HOUR_NS}) == []
    if time_ns < LAST_MOMENT_NS - 2 * HOUR_NS:
        assert found_logs(running, body, **{"from": time_ns + HOUR_NS}) == []


def check_request(running: RunningClew, id: str, time_ns: int, *, spans: int = 1) -> None:
    """It is listed by a range around its time, and its page is shown."""
    around = {"from": max(0, time_ns - HOUR_NS), "to": min(LAST_MOMENT_NS + 1, time_ns + HOUR_NS)}
    running.wait_for(lambda: is_listed(running, id, **around), bool)
    form = httpx.get(f"{running.dashboard_url}/requests/{id}?format=json").json()
    assert len(form["spans"]) == spans
    for path in (f"/requests/{id}", f"/requests?from={around['from']}&to={around['to']}"):
        assert httpx.get(f"{running.dashboard_url}{path}").is_success, path


def check_is_now(running: RunningClew, body: str) -> None:
    """What names no time that can be kept has that at which it came."""
    assert ns_of(STARTED) - HOUR_NS < one_log(running, body)["time_ns"] < ns_of(STARTED) + HOUR_NS


OTLP_TIMES: Final = {**{name: ns_of(moment) for name, moment in NAMED.items()}, "one": 1, "end": 2**64 - 1}


@pytest.mark.parametrize("name", OTLP_TIMES)
def test_otlp_keeps_every_time(running: RunningClew, name: str) -> None:
    sent_ns, id = OTLP_TIMES[name], f"otlp-{name}"
    log = a_log(f"otlp {name}", trace="", span="", correlation_id=id)
    log.time_unix_nano = log.observed_time_unix_nano = sent_ns
    span = a_span(trace=id.encode().ljust(16, b"x")[:16].hex(), start_ns=0, duration_ns=1, correlation_id=id)
    span.start_time_unix_nano = span.end_time_unix_nano = sent_ns

    for path, request in (("/v1/logs", logs(log)), ("/v1/traces", traces(span))):
        sent = httpx.post(f"{running.otlp_url}{path}", content=request.SerializeToString(), headers=PROTOBUF)
        assert sent.status_code == 200

    time_ns = min(sent_ns, LAST_MOMENT_NS)
    check_log(running, f"otlp {name}", time_ns)
    check_request(running, id, time_ns)


def test_otlp_without_a_time_is_of_when_it_came_and_a_span_of_1970(running: RunningClew) -> None:
    log, span = a_log("otlp timeless"), a_span(trace="ab" * 16, correlation_id="otlp-timeless")
    log.time_unix_nano = log.observed_time_unix_nano = 0
    span.start_time_unix_nano = span.end_time_unix_nano = 0

    httpx.post(f"{running.otlp_url}/v1/logs", content=logs(log).SerializeToString(), headers=PROTOBUF)
    httpx.post(f"{running.otlp_url}/v1/traces", content=traces(span).SerializeToString(), headers=PROTOBUF)

    check_is_now(running, "otlp timeless")
    check_request(running, "otlp-timeless", 0)


@pytest.mark.parametrize("time", [-1, "-1"])
def test_otlp_json_with_a_negative_time_is_refused(running: RunningClew, time: object) -> None:
    record = {"body": {"stringValue": "negative"}, "timeUnixNano": time}
    form = {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}

    assert httpx.post(f"{running.otlp_url}/v1/logs", json=form).status_code == 400


ZIPKIN_TIMES: Final = {
    **{name: ns_of(moment) // 1000 for name, moment in NAMED.items()},
    "one": 1,
    "beyond": 2**63 - 1,
    "end": 2**64 - 1,
}


@pytest.mark.parametrize("name", ZIPKIN_TIMES)
def test_zipkin_keeps_every_time(running: RunningClew, name: str) -> None:
    time_us, id = ZIPKIN_TIMES[name], f"{100 + list(ZIPKIN_TIMES).index(name):032x}"
    span = {"traceId": id, "id": id[16:], "name": name, "timestamp": time_us, "duration": 5}

    assert httpx.post(f"{running.zipkin_url}/api/v2/spans", json=[span]).status_code == 202

    check_request(running, id, min(time_us * 1000, LAST_MOMENT_NS))


@pytest.mark.parametrize("time_us", [0, -5])
def test_zipkin_without_a_time_is_of_when_it_came(running: RunningClew, time_us: int) -> None:
    id = f"{200 - time_us:032x}"
    span = {"traceId": id, "id": id[16:], "name": "timeless", "timestamp": time_us}

    assert httpx.post(f"{running.zipkin_url}/api/v2/spans", json=[span]).status_code == 202

    check_request(running, id, ns_of(STARTED))


BULK_ODD: Final = {
    "zero": 0,
    "negative": -5,
    "before": "1960-01-01T00:00:00Z",
    "beyond": "2300-01-01T00:00:00Z",
    "text": "soon",
}


def send_documents(running: RunningClew, documents: list[dict[str, Any]]) -> None:
    lines = (line for document in documents for line in ({"create": {"_index": "logs"}}, document))
    body = "".join(f"{json.dumps(line)}\n" for line in lines)
    answer = httpx.post(f"{running.urls['bulk']}/_bulk", content=body, headers={"content-type": "application/x-ndjson"})
    assert answer.json()["errors"] is False, answer.text


def test_documents_keep_every_time(running: RunningClew) -> None:
    send_documents(
        running, [{"@timestamp": moment.isoformat(), "message": f"bulk {name}"} for name, moment in NAMED.items()]
    )
    send_documents(running, [{"@timestamp": time, "message": f"bulk {name}"} for name, time in BULK_ODD.items()])

    for name, moment in NAMED.items():
        check_log(running, f"bulk {name}", ns_of(moment))
    for name, time in BULK_ODD.items():
        check_is_now(running, f"bulk {name}")
        assert one_log(running, f"bulk {name}")["attributes"]["@timestamp"] == time


SYSLOG_ODD: Final = (
    "1970-01-01T00:00:00Z",
    "1960-01-01T00:00:00Z",
    "2300-01-01T00:00:00Z",
    "-0001-01-01T00:00:00Z",
    "2026-02-30T00:00:00Z",
)


def test_syslog_keeps_every_time(running: RunningClew) -> None:
    stamped = {f"syslog {name}": moment.isoformat() for name, moment in NAMED.items()}
    odd = {f"syslog odd {number}": text for number, text in enumerate(SYSLOG_ODD)}
    with socket.create_connection(running.syslog_address) as connection:
        for name, text in {**stamped, **odd}.items():
            connection.sendall(f"<14>1 {text} h a - - - {name}\n".encode())

    for name, moment in NAMED.items():
        check_log(running, f"syslog {name}", ns_of(moment))
    for name, text in odd.items():
        check_is_now(running, name)
        log = one_log(running, name)
        assert text in json.dumps(log), "the time that cannot be kept is nowhere"


def test_files_keep_every_time(running: RunningClew) -> None:
    for name, moment in NAMED.items():
        check_log(running, f"files {name}", ns_of(moment))
    for name, time in FILES_ODD.items():
        check_is_now(running, f"files {name}")
        assert one_log(running, f"files {name}")["attributes"]["time"] == time


def test_imported_files_keep_every_time(running: RunningClew, tmp_path: Path) -> None:
    file = tmp_path / "old.ndjson"
    file.write_text(
        "".join(
            json.dumps({"time": moment.isoformat(), "msg": f"imported {name}"}) + "\n" for name, moment in NAMED.items()
        )
    )

    imported = clew("import", str(file), "--data", str(running.data))

    assert imported.returncode == 0, imported.stderr
    for name, moment in NAMED.items():
        check_log(running, f"imported {name}", ns_of(moment))
