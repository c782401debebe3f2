import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client import CollectorRegistry, ProcessCollector

from clew_server.health import ASKED_FOR
from clew_server.metrics import METRICS
from clew_server.own_telemetry import REPEAT_AFTER_S
from clew_server.probes import FULL_SHARE, MAX_AGE_S
from tests.docs import metrics_table
from tests.docs.pages import blocks
from tests.server.running_clew import clew_up

TEXT = metrics_table.PAGE.read_text()


def block(comment: str) -> Any:
    """The YAML whose first line is this comment."""
    [found] = [each for each in blocks("how-to/watching-clew.md", "yaml") if each.startswith(f"# {comment}\n")]
    return yaml.safe_load(found)


def test_the_page_lists_every_metric_as_the_code_has_it() -> None:
    assert metrics_table.written() == metrics_table.table(), "run `python -m tests.docs.metrics_table`"


def test_the_page_lists_every_metric_of_a_process() -> None:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)

    names = {sample.name for family in registry.collect() for sample in family.samples}

    assert names == set(re.findall(r"`(process_\w+)`", TEXT))


def test_rules_ask_for_metrics_that_there_are() -> None:
    known = {metric.name for metric in METRICS}
    expressions = [rule["expr"] for group in block("clew-rules.yml")["groups"] for rule in group["rules"]]

    asked = {name for expression in expressions for name in re.findall(r"\bclew_\w+", expression)}

    assert len(expressions) == 5
    assert asked <= known
    [left_out] = re.findall(r'reason!~"([^"]+)"', " ".join(expressions))
    assert set(left_out.split("|")) == ASKED_FOR


def test_the_bounds_are_those_of_the_code() -> None:
    assert f"({FULL_SHARE:.0%}".replace("%", " %") in TEXT
    assert f"waited for more than {MAX_AGE_S:.0f} s" in TEXT
    assert REPEAT_AFTER_S == 600
    assert "one in ten\nminutes is sent" in TEXT


def test_the_keys_of_the_json_are_those_that_a_running_collector_has(tmp_path: Path) -> None:
    with clew_up(tmp_path) as running:
        form = httpx.get(f"{running.dashboard_url}/health?format=json").json()

    section = TEXT.partition("| in the JSON")[2].partition("##")[0]
    rows = [line.split("|")[1] for line in section.splitlines()[1:] if line.startswith("| `")]
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == set(form)


@pytest.mark.parametrize("is_ready", [True, False])
def test_the_readiness_command_succeeds_when_it_is_ready_and_fails_when_not(tmp_path: Path, is_ready: bool) -> None:
    command: list[str] = block("a container of a pod")["readinessProbe"]["exec"]["command"]
    liveness = block("a container of a pod")["livenessProbe"]["httpGet"]
    with clew_up(tmp_path) as running:
        if not is_ready:
            (tmp_path / "spool.sqlite").rename(tmp_path / "gone")
            (tmp_path / "spool.sqlite").mkdir()
        program = command[2].replace("http://127.0.0.1:8840", running.dashboard_url)
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
        alive = httpx.get(f"{running.otlp_url}{liveness['path']}").status_code

    assert command[:2] == ["python", "-c"]
    assert (done.returncode == 0) is is_ready, done.stderr
    assert alive == 200
