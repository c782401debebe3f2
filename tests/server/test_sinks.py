"""Sinks of a collector that runs, and `clew sinks`."""

import json
from pathlib import Path

import httpx
import pyarrow.parquet as pq

from tests.collector.otlp_builders import a_log, logs
from tests.server.running_clew import RunningClew, clew, clew_up

PROTOBUF = {"content-type": "application/x-protobuf"}
NOWHERE = "http://127.0.0.1:9"


def configured(folder: Path, *sinks: dict[str, object]) -> str:
    path = folder / "clew.yaml"
    path.write_text(json.dumps({"sinks": sinks, "telemetry": {"observe_itself": False}}))
    return str(path)


def send(running: RunningClew, *texts: str) -> None:
    body = logs(*map(a_log, texts)).SerializeToString()
    httpx.post(f"{running.otlp_url}/v1/logs", content=body, headers=PROTOBUF).raise_for_status()


def readers(running: RunningClew) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = httpx.get(f"{running.dashboard_url}/health?format=json").json()["readers"]
    return found


def test_a_sink_that_is_away_holds_neither_the_store_nor_another_sink(tmp_path: Path) -> None:
    archive = {"type": "file", "url": str(tmp_path / "archive"), "format": "parquet", "fill_wait_s": 0.1}
    config = configured(tmp_path, {"type": "otlp", "name": "away", "url": NOWHERE}, archive)

    with clew_up(tmp_path / "data", "--config", config) as running:
        send(running, "one", "two")
        running.wait_for(lambda: readers(running), lambda found: found["file"]["stored"] == {"logs": 2})
        state = running.wait_for(lambda: readers(running), lambda found: found["away"]["outage"] is not None)
        listed = clew("sinks", "--data", str(tmp_path / "data")).stdout

    assert f"Sink        away, to {NOWHERE}" in running.said
    assert (state["store"]["payloads"], state["away"]["payloads"]) == (0, 1)
    assert [line.split()[0] for line in listed.splitlines()[1:] if line[0] != " "] == ["store", "away", "file"]
    assert listed.count("1 payload waiting") == 1
    [file] = [path for path in (tmp_path / "archive").rglob("*.parquet") if "logs" in str(path)]
    assert pq.read_table(file).num_rows == 2
    assert "clew is not running" in clew("sinks", "--data", str(tmp_path / "data")).stdout


def test_what_waited_for_a_sink_is_shipped_when_it_is_back_even_after_a_new_start(tmp_path: Path) -> None:
    with clew_up(tmp_path / "other") as other:
        config = configured(tmp_path, {"type": "otlp", "name": "onward", "url": NOWHERE})
        with clew_up(tmp_path / "data", "--config", config) as running:
            send(running, "early")
        config = configured(tmp_path, {"type": "otlp", "name": "onward", "url": other.otlp_url})
        with clew_up(tmp_path / "data", "--config", config) as running:
            send(running, "late")
            found = running.wait_for(
                lambda: httpx.get(f"{other.dashboard_url}/logs?format=json").json()["items"],
                lambda items: {"early", "late"} <= {item["body"] for item in items},
            )

    assert sorted(item["body"] for item in found if item["body"] in ("early", "late")) == ["early", "late"]


def test_two_sinks_of_one_name_are_refused(tmp_path: Path) -> None:
    config = configured(tmp_path, {"type": "otlp", "url": NOWHERE}, {"type": "otlp", "url": NOWHERE})

    result = clew("up", "--config", config, "--data", str(tmp_path / "data"))

    assert result.returncode == 2
    assert "each needs a name of its own" in result.stderr
