"""`clew sinks`: how far the sinks are, and sending them again what is stored."""

import os
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from clew_collector.config import CollectorConfig
from clew_collector.config.yaml_file import load_config
from clew_collector.errors import ClewError
from clew_collector.spool import STORE, Spool
from clew_dashboards.wording import count_text, size_text
from clew_server.commands.options import CONFIG_VARIABLE, AskedData, asked_data, found_config
from clew_server.commands.replay import replay
from clew_server.running import Running, find_running
from clew_server.sink_states import SINKS_PATH, SinkState, described
from clew_server.stored_records import StoredRecords

_NOT_RUNNING = "clew is not running"
_HEADS = ("", "waiting", "late by", "shipped", "refused", "dropped")

app = typer.Typer()
app.command("replay")(replay)


@app.callback(invoke_without_command=True)
def sinks(
    context: typer.Context,
    data: AskedData = None,
    json: Annotated[bool, typer.Option("--json", help="Print everything about them as JSON instead.")] = False,
) -> None:
    """Show how far the store and each sink are, and what is in the way; `replay` sends what is stored to one again.

    What waits and how late the last of it was; then records since the data directory was made.
    """
    context.obj = data
    if context.invoked_subcommand is not None:
        return
    directory = asked_data(data)
    running = find_running(directory)
    states = _states_at_rest(directory) if running is None else _states_of(running)
    if json:
        form = [asdict(state) for state in states]
        typer.echo(orjson.dumps({"items": form}, option=orjson.OPT_INDENT_2).decode())
        return
    for line in _lines(states):
        typer.echo(line)


def _states_of(running: Running) -> list[SinkState]:
    with closing(StoredRecords(running.dashboard_url)) as collector:
        return [SinkState(**item) for item in collector.get(SINKS_PATH)["items"]]


def _states_at_rest(directory: Path) -> list[SinkState]:
    """What the queue's file knows; where the sinks write to only if a clew.yaml is at hand."""
    path = directory / "spool.sqlite"
    if not path.exists():
        raise ClewError(f"there is no data of clew in {directory}; --data names another directory")
    config = _config(directory)
    with closing(Spool(path)) as spool:
        counters = spool.counters()
        known = spool.readers() or [STORE]
        names = sorted(known, key=lambda name: (name != STORE, name))
        now: dict[str, Any] = {"oldest_age_s": None, "lag_s": {}, "outage": _NOT_RUNNING}
        return [described(name, config, waiting=spool.depth(reader=name), counters=counters, **now) for name in names]


def _config(directory: Path) -> CollectorConfig:
    asked = os.environ.get(CONFIG_VARIABLE)
    path = found_config(Path(asked) if asked else None)
    config = CollectorConfig() if path is None else load_config(path, environ=os.environ)
    return config.model_copy(update={"data": directory})


def _lines(states: list[SinkState]) -> list[str]:
    """A table of at most 80 columns, with where it goes and what is in the way beneath each row."""
    rows = [_HEADS, *map(_cells, states)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADS))]
    shown = [_row(row, widths) for row in rows]
    below = [[], *map(_below, states)]
    return [line for row, more in zip(shown, below, strict=True) for line in (row, *more)]


def _cells(state: SinkState) -> tuple[str, ...]:
    late_s = max(state.lag_s.values(), default=None)
    totals = [f"{sum(tally.values()):,}" for tally in (state.shipped, state.refused, state.dropped)]
    return state.name, size_text(state.bytes), "-" if late_s is None else f"{late_s:,.1f} s", *totals


def _row(cells: tuple[str, ...], widths: list[int]) -> str:
    name, *numbers = cells
    return "  ".join(
        (name.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(numbers, widths[1:], strict=True)))
    )


def _below(state: SinkState) -> list[str]:
    what = " ".join(filter(None, (state.type if state.type != state.name else "", state.to)))
    only = f", {state.signals[0]} only" if len(state.signals) == 1 else ""
    return [f"  {each}" for each in (what + only, _waiting(state), state.outage) if each]


def _waiting(state: SinkState) -> str:
    if not state.payloads:
        return ""
    age = "" if state.oldest_age_s is None else f", the oldest for {state.oldest_age_s:,.0f} s"
    return f"{count_text(state.payloads, 'payload')} waiting{age}"
