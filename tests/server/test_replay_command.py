"""`clew sinks` and `clew sinks replay`, against a collector that runs."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import orjson
import pytest
from typer.testing import CliRunner, Result

from clew_collector.errors import ClewError, ConfigError
from clew_server.cli import app
from tests.collector.otlp_builders import T0_NS, a_log, a_span, logs, traces
from tests.server.running_clew import RunningClew, clew_up
from tests.server.test_sinks import NOWHERE, PROTOBUF, configured, readers

HOUR_NS = 3_600 * 10**9
RANGE = ("--from", str(T0_NS), "--to", str(T0_NS + HOUR_NS))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningClew]:
    """With an archive that takes all, and a Zipkin that is away; two lines and a span are stored."""
    folder = tmp_path_factory.mktemp("replay")
    archive = {"type": "file", "name": "archive", "url": str(folder / "archive"), "fill_wait_s": 0.1}
    config = configured(folder, archive, {"type": "zipkin", "url": NOWHERE})
    with clew_up(folder / "data", "--config", config) as running:
        for signal, request in (("logs", logs(a_log("one"), a_log("two"))), ("traces", traces(a_span()))):
            body = request.SerializeToString()
            httpx.post(f"{running.otlp_url}/v1/{signal}", content=body, headers=PROTOBUF).raise_for_status()
        taken = {"logs": 2, "traces": 1}
        running.wait_for(
            lambda: readers(running), lambda found: found["archive"]["stored"] == found["store"]["stored"] == taken
        )
        running.wait_for(lambda: readers(running), lambda found: found["zipkin"]["outage"] is not None)
        yield running


def sinks(running: RunningClew, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["sinks", *arguments, "--data", str(running.data)])


def replay(running: RunningClew, *arguments: str) -> Result:
    return sinks(running, "replay", *arguments)


def told(running: RunningClew, name: str) -> dict[str, object]:
    items = orjson.loads(sinks(running, "--json").stdout)["items"]
    return next(item for item in items if item["name"] == name)


def test_each_sink_is_shown_with_where_it_goes_and_what_is_in_the_way_in_80_columns(running: RunningClew) -> None:
    lines = sinks(running).stdout.splitlines()

    rows = [line.split() for line in lines if not line.startswith(" ")]
    assert [(row[0], row[1], row[-3:]) for row in rows if row[0] != "zipkin"] == [
        ("store", "0", ["3", "0", "0"]),
        ("archive", "0", ["3", "0", "0"]),
    ]
    assert any(line.startswith(f"  {NOWHERE}, traces only") for line in lines)
    assert any("1 payload waiting, the oldest for" in line for line in lines)
    assert any("Connection refused" in line for line in lines)
    assert all(len(line) <= 80 for line in lines if not line.startswith("  "))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("archiv", *RANGE), ConfigError, "there is no sink 'archiv'; did you mean 'archive'?"),
        (("store", *RANGE), ConfigError, "there is no sink 'store'; there are: archive, zipkin"),
        (("archive", "--from", "2026-01-02", "--to", "2026-01-01"), ConfigError, "--from must be before --to"),
        (("archive", "--from", "yesterday"), ConfigError, "--from must be a time such as"),
        (("archive", *RANGE, "--signal", "metrics"), ConfigError, "--signal is one of logs, traces, not 'metrics'"),
        (("zipkin", *RANGE, "--signal", "logs"), ConfigError, "the sink 'zipkin' takes traces only"),
        (("archive", "--from", "0", "--to", str(T0_NS)), ClewError, "the store holds no log records and no spans"),
        (("archive", *RANGE), ConfigError, "nothing was sent: say --yes where nobody can be asked, or --dry-run"),
    ],
    ids=["misspelt", "store", "reversed", "no time", "no signal", "not taken", "empty", "not asked"],
)
def test_what_cannot_be_replayed_is_said(
    running: RunningClew, arguments: tuple[str, ...], error: type[Exception], message: str
) -> None:
    result = replay(running, *arguments)

    assert type(result.exception) is error
    assert message in str(result.exception)


def test_a_dry_run_says_how_much_it_would_be_and_that_it_would_be_there_twice(running: RunningClew) -> None:
    before = told(running, "archive")["shipped"]

    result = replay(running, "archive", *RANGE, "--dry-run")

    assert result.exit_code == 0
    assert "2 log records and 1 span from" in result.stderr
    assert "is in it twice afterwards" in result.stderr
    assert told(running, "archive")["shipped"] == before


def test_a_sink_is_sent_the_range_again_and_nobody_else_is(running: RunningClew) -> None:
    before = told(running, "archive")["shipped"]

    result = replay(running, "archive", *RANGE, "--signal", "logs", "--yes")

    assert result.exit_code == 0
    assert "'archive' has taken 2 records" in result.stderr
    assert before == {"logs": 2, "traces": 1}
    assert told(running, "archive")["shipped"] == {"logs": 4, "traces": 1}
    assert told(running, "zipkin")["payloads"] == 1
    assert told(running, "store")["shipped"] == {"logs": 2, "traces": 1}


def test_without_a_collector_that_runs_nothing_can_be_sent(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["sinks", "replay", "archive", *RANGE, "--data", str(tmp_path)])

    assert isinstance(result.exception, ConfigError)
    assert "only that sends anything; start it with `clew up`" in str(result.exception)
