"""Processors and thinning in a collector that runs."""

import json
import subprocess
import sys
from pathlib import Path

import httpx

from tests.collector.otlp_builders import a_log, logs
from tests.server.running_clew import clew_up

CONFIG = """
processors:
  - type: redact
    presets: [credit_card]
  - type: drop
    when: {body_matches: "^noise"}
"""
CARD = "4111111111111111"
BODY = logs(a_log(f"paid with {CARD}"), a_log("noise 1"), a_log("noise 2")).SerializeToString()


def test_what_processors_leave_is_stored_and_what_they_drop_is_counted(tmp_path: Path) -> None:
    config = tmp_path / "clew.yaml"
    config.write_text(CONFIG)
    with clew_up(tmp_path / "data", "--config", str(config)) as running:
        httpx.post(f"{running.otlp_url}/v1/logs", content=BODY, headers={"content-type": "application/x-protobuf"})

        health = running.wait_for(
            lambda: httpx.get(f"{running.dashboard_url}/health?format=json").json(),
            lambda health: bool(health["dropped"]) and health["spool"]["payloads"] == 0,
        )
        items = httpx.get(f"{running.dashboard_url}/logs?format=json").json()["items"]

    assert sum(health["dropped"].values()) == 2
    assert CARD not in json.dumps(items)
    assert any("paid with" in str(item["body"]) for item in items)


def test_the_same_can_be_seen_without_a_collector(tmp_path: Path) -> None:
    config = tmp_path / "clew.yaml"
    config.write_text(CONFIG)

    result = subprocess.run(
        [sys.executable, "-m", "clew_server.cli", "process", "--config", str(config)],
        input=BODY,
        capture_output=True,
        timeout=60,
    )

    [kept] = [json.loads(line) for line in result.stdout.splitlines()]
    assert kept["body"].startswith("paid with ")
    assert CARD not in kept["body"]
    said = result.stderr.decode()
    assert "read 3 records, kept 1" in said
    assert "dropped 2" in said
    assert result.returncode == 0


def test_what_cannot_be_read_is_told_with_status_1(tmp_path: Path) -> None:
    config = tmp_path / "clew.yaml"
    config.write_text(CONFIG)

    result = subprocess.run(
        [sys.executable, "-m", "clew_server.cli", "process", "--config", str(config)],
        input=b'{"neither": "this"}\n',
        capture_output=True,
        timeout=60,
    )

    assert result.returncode == 1
    assert "refused line 1" in result.stderr.decode()
