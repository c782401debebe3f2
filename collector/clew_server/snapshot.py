"""What the collector knows of itself at one moment: read once, then told as a page, as metrics and as readiness."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Protocol

from clew_collector.errors import StoreUnavailable
from clew_collector.model import Counts, Signal, record
from clew_collector.spool import DeadLetter, Depth, Series, Spool
from clew_collector.stores.base import Store


class Progress(Protocol):
    """How a pipeline fares: one signal on its way to one reader. See `Pipeline`."""

    @property
    def reader(self) -> str:
        """The store or a sink."""
        ...

    @property
    def signal(self) -> Signal:
        """What it moves."""
        ...

    @property
    def lag_s(self) -> float | None:
        """From receipt until queryable, of the last batch."""
        ...

    @property
    def outage(self) -> str | None:
        """Why the reader takes nothing now."""
        ...


@record
class ReaderState:
    """What waits for a reader, by signal how late the last batch was, and why it takes nothing, if so."""

    name: str
    waiting: Depth
    lag_s: Mapping[Signal, float]
    outage: str | None


@record
class Snapshot:
    """Counters since the data directory was made, and what waits at `now_ns`."""

    now_ns: int
    stored: Counts
    counters: Mapping[Series, int]
    spool: Depth
    max_spool_bytes: int
    readers: tuple[ReaderState, ...]
    dead_letters: tuple[DeadLetter, ...]

    def age_s(self, time_ns: int | None) -> float | None:
        """How long ago that was; `None` for a time that is none."""
        return None if time_ns is None else max(0.0, (self.now_ns - time_ns) / 1e9)


def take_snapshot(
    store: Store, spool_path: Path, pipelines: Iterable[Progress], *, max_spool_bytes: int, now_ns: int
) -> Snapshot:
    """Ask the store, the spool and the pipelines. Blocks for a few milliseconds. Raises `StoreUnavailable`."""
    by_reader: dict[str, list[Progress]] = {}
    for pipeline in pipelines:
        by_reader.setdefault(pipeline.reader, []).append(pipeline)
    stored = store.counts()
    with _opened(spool_path) as spool:
        return Snapshot(
            now_ns=now_ns,
            stored=stored,
            counters=spool.counters(),
            spool=spool.depth(),
            max_spool_bytes=max_spool_bytes,
            readers=tuple(_state(name, its, spool.depth(reader=name)) for name, its in by_reader.items()),
            dead_letters=tuple(spool.dead_letters()),
        )


def _state(name: str, pipelines: list[Progress], waiting: Depth) -> ReaderState:
    lags = {pipeline.signal: pipeline.lag_s for pipeline in pipelines}
    return ReaderState(
        name=name,
        waiting=waiting,
        lag_s={signal: lag_s for signal, lag_s in lags.items() if lag_s is not None},
        outage=next((pipeline.outage for pipeline in pipelines if pipeline.outage is not None), None),
    )


@contextmanager
def _opened(path: Path) -> Iterator[Spool]:
    """A spool of our own: an SQLite connection is for one thread at a time, and pages are asked in many."""
    try:
        with closing(Spool(path)) as spool:
            yield spool
    except sqlite3.Error as error:
        raise StoreUnavailable(f"{path}: {error}") from error
