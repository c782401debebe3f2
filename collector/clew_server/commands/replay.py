"""`clew sinks replay`: send what is stored of a time range to one sink again."""

import difflib
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from clew_collector.errors import ClewError, ConfigError, StoreUnavailable
from clew_collector.model import SIGNALS, Signal
from clew_collector.spool import STORE, Spool
from clew_dashboards.filters import read_time
from clew_dashboards.wording import count_text, utc_text
from clew_server.commands.options import AskedData, asked_data
from clew_server.replaying import SHARE, Plan, Replay
from clew_server.running import find_running
from clew_server.sink_states import SINKS_PATH, SinkState
from clew_server.stored_records import Range, StoredRecords

_ASK_EVERY_S: Final = 2.0
_NOUNS: Final[dict[Signal, str]] = {"logs": "log record", "traces": "span"}
_TWICE: Final = {
    "elasticsearch": "What Elasticsearch has of them already is there twice afterwards, under other IDs. "
    "To avoid that, delete the range there first.",
    "zipkin": "Zipkin keeps equal spans once: what it has already is not doubled.",
    "otlp": "What the other side has of them already may be there twice afterwards: requests are put together anew.",
    "kafka": "What the topics have of them already is in them twice afterwards.",
    "file": "What the archive has of them already is in it twice afterwards, under the hour of now.",
}
"""What becomes of records that a sink has already, by its type."""

_TIME_HELP: Final = "As 2026-03-01T14:00:00Z, or how long ago: 15m, 2h, 3d."


def replay(
    context: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The sink, as `clew sinks` shows it.", show_default=False)
    ],
    from_: Annotated[str, typer.Option("--from", metavar="TIME", help=_TIME_HELP, show_default=False)],
    to: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="Likewise, and not with it.", show_default="now")
    ] = None,
    signal: Annotated[
        str | None,
        typer.Option("--signal", metavar="SIGNAL", help="logs or traces.", show_default="all that the sink takes"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say how many records it would be, and end.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    anew: Annotated[
        bool, typer.Option("--anew", help="Begin at the beginning, even if the same replay was interrupted.")
    ] = False,
    data: AskedData = None,
) -> None:
    """Send what the store holds of a time range to one sink again: its index was lost, or the sink was added late.

    The times are those in the records. They go as they are stored, through the processors once more (but rate limits).
    What the sink has of them already is there TWICE afterwards, but in Zipkin: delete it there first.

    Needs a running `clew up`. It may be stopped at any time: the same command goes on where it ended.
    """
    directory = asked_data(data or context.obj)
    running = find_running(directory)
    if running is None:
        raise ConfigError(f"no clew runs on {directory}, and only that sends anything; start it with `clew up`")
    with closing(StoredRecords(running.dashboard_url)) as records:
        told = records.get(SINKS_PATH)
        sink = _found([SinkState(**item) for item in told["items"]], name)
        signals = _signals(sink, signal)
        from_ns, to_ns = _times(from_, to, now_ns=time.time_ns())
        with closing(_spool_of(directory, told["spool"])) as spool:
            replaying = Replay(records, spool, sink.name)
            ranges = [Range(signal, from_ns, to_ns) for signal in signals]
            for asked in ranges if anew else ():
                replaying.forget(asked)
            plans = [replaying.plan(asked) for asked in ranges]
            _announce(sink, plans)
            if not dry_run and (yes or _is_wanted()):
                _run(replaying, plans, records)


def _found(sinks: Sequence[SinkState], name: str) -> SinkState:
    names = [sink.name for sink in sinks if sink.name != STORE]
    for sink in sinks:
        if sink.name == name and name != STORE:
            return sink
    if not names:
        raise ConfigError("the running clew has no sinks: they are listed under `sinks` in clew.yaml")
    [*near] = difflib.get_close_matches(name, names, n=1)
    meant = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(names)}"
    raise ConfigError(f"there is no sink {name!r}; {meant}")


def _signals(sink: SinkState, asked: str | None) -> list[Signal]:
    wanted: list[Signal] = [signal for signal in SIGNALS if asked in (None, signal)]
    if not wanted:
        raise ConfigError(f"--signal is one of {', '.join(SIGNALS)}, not {asked!r}")
    taken = [signal for signal in wanted if signal in sink.signals]
    if not taken:
        raise ConfigError(f"the sink {sink.name!r} takes {' and '.join(sink.signals)} only")
    return taken


def _times(from_: str, to: str | None, *, now_ns: int) -> tuple[int, int]:
    from_ns = _time("--from", from_, now_ns)
    to_ns = now_ns if to is None else _time("--to", to, now_ns)
    if from_ns >= to_ns:
        raise ConfigError(f"--from must be before --to: {_moment(from_ns)} is not before {_moment(to_ns)}")
    return from_ns, to_ns


def _time(option: str, text: str, now_ns: int) -> int:
    try:
        return read_time(text, now_ns)
    except ValueError as error:
        raise ConfigError(f"{option} {error}, not {text!r}") from None


def _moment(time_ns: int) -> str:
    """Without the digits that say nothing."""
    return f"{utc_text(time_ns)[:-1].rstrip('0').rstrip('.')}Z"


def _spool_of(directory: Path, limits: dict[str, int]) -> Spool:
    """The running collector's, with half of its room."""
    path = directory / "spool.sqlite"
    return Spool(path, max_bytes=limits["max_bytes"] // SHARE, reserve_bytes=limits["reserve_bytes"])


def _announce(sink: SinkState, plans: Sequence[Plan]) -> None:
    """Say what would be sent. Raises `ClewError` if that is nothing."""
    asked = plans[0].asked
    during = f"from {_moment(asked.from_ns)} to {_moment(asked.to_ns)}"
    if not any(plan.batches for plan in plans):
        nouns = " and no ".join(f"{_NOUNS[plan.asked.signal]}s" for plan in plans)
        waiting = ", but for what the sink takes from the queue anyway" if any(plan.left_out for plan in plans) else ""
        raise ClewError(f"nothing to send: the store holds no {nouns} {during}{waiting}")
    counts = " and ".join(count_text(plan.records, _NOUNS[plan.asked.signal]) for plan in plans)
    _say(f"{counts} {during}")
    _say(f"to the sink {sink.name!r}: {sink.type} {sink.to}")
    for plan in plans:
        if plan.left_out:
            left_out = count_text(plan.left_out, _NOUNS[plan.asked.signal])
            _say(f"Left out: {left_out} that the sink has still to take from the queue anyway.")
        if plan.is_begun:
            _say(f"It was interrupted before: {plan.asked.signal} go on where it ended; --anew begins again.")
    _say(_TWICE[sink.type])


def _is_wanted() -> bool:
    if not sys.stdin.isatty():
        raise ConfigError("nothing was sent: say --yes where nobody can be asked, or --dry-run")
    return typer.confirm("Send them?", err=True)


def _run(replaying: Replay, plans: Sequence[Plan], records: StoredRecords) -> None:
    total = sum(plan.records for plan in plans)
    console = Console(stderr=True, highlight=False)
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
    )
    try:
        with bar:
            watched = _Watched(replaying.sink, records, bar, bar.add_task("sending", total=total))
            for plan in plans:
                watched.follow(replaying.send(plan))
            watched.follow(0 for _ in replaying.until_taken())
        # Only now, and all at once: until then, the same command must not send again what has been sent.
        for plan in plans:
            replaying.forget(plan.asked)
    except (KeyboardInterrupt, StoreUnavailable) as error:
        _say(f"Not all of it was sent. To go on:\n  {_same_command(replaying.sink, plans)}")
        if isinstance(error, KeyboardInterrupt):
            raise typer.Exit(130) from None
        raise
    _say(f"{replaying.sink!r} has taken {count_text(total, 'record')}; `clew sinks` shows what it refused, if any")


class _Watched:
    """The line that shows how far a replay is, and why it waits."""

    def __init__(self, sink: str, records: StoredRecords, bar: Progress, task: TaskID) -> None:
        self._sink = sink
        self._records = records
        self._bar = bar
        self._task = task
        self._asked_s = 0.0

    def follow(self, steps: Iterable[int]) -> None:
        for sent in steps:
            self._bar.advance(self._task, sent)
            if sent:
                self._bar.update(self._task, description="sending")
            elif time.monotonic() - self._asked_s > _ASK_EVERY_S:
                self._bar.update(self._task, description=self._why_waiting())
                self._asked_s = time.monotonic()

    def _why_waiting(self) -> str:
        told: list[dict[str, Any]] = self._records.get(SINKS_PATH)["items"]
        outages = [item["outage"] for item in told if item["name"] == self._sink and item["outage"]]
        return f"{self._sink} takes nothing: {outages[0]}" if outages else f"waiting for {self._sink}"


def _same_command(sink: str, plans: Sequence[Plan]) -> str:
    asked = plans[0].asked
    only = f" --signal {asked.signal}" if len(plans) == 1 else ""
    return f"clew sinks replay {sink} --from {asked.from_ns} --to {asked.to_ns}{only}"


def _say(text: str) -> None:
    typer.echo(text, err=True)
