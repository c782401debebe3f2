"""From the spool into the store: take, decode, write, delete, and never let one bad payload stop the rest."""

import os
import threading
import time
from collections import Counter as Tally
from collections.abc import Callable
from typing import Final, Protocol

import structlog

from clew_collector.batch import Batch
from clew_collector.errors import BadPayload, StoreUnavailable
from clew_collector.model import Signal
from clew_collector.processors.config import Processors
from clew_collector.spool import STORE, Series, Spool, Spooled
from clew_collector.wire.otlp.payload import decode
from clew_collector.wire.otlp.select import SELECTS

ROW_GROUP: Final = 122_880
"""Rows of a DuckDB row group. A transaction of a whole one stores twice as fast as one of half of it."""

MAX_BATCH_BYTES: Final = 96 << 20
"""Bounds the memory of one batch, about five times this while it is decoded."""

_FULL: Final = 0.8
"""Share of either bound from which a batch is as large as it gets: payloads are not divided."""

_IDLE_WAIT_S: Final = 0.05
_FILL_WAIT_S: Final = 0.3
_RETRY_WAITS_S: Final = (0.5, 1.0, 2.0, 5.0)

log = structlog.get_logger(__name__)


class BatchSink(Protocol):
    """Where batches go."""

    def write(self, batch: Batch) -> int:
        """Keep a batch once, however often it is given. Raises `BadPayload` or `StoreUnavailable`."""
        ...

    def last_applied(self, signal: Signal) -> int:
        """Number of the newest payload of this signal that is kept."""
        ...


class Pipeline:
    """Moves payloads of one signal from a spool into a store; one thread of its own runs it.

    With `processors`, what they leave of a batch is stored, and what they drop is counted.

    A payload leaves the spool after the store has it durably. Payloads that came between a write and its deletion
    when the process died are still in the spool: the store knows their numbers and skips them.

    Other threads may read how it fares: `lag_s` is how long the oldest payload of the last batch took from its
    receipt until it could be asked for, `None` before the first one; `outage` is why the store takes nothing, `None`
    while it does.
    """

    reader: Final = STORE

    def __init__(
        self,
        signal: Signal,
        spool: Spool,
        store: BatchSink,
        *,
        processors: Processors | None = None,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.signal = signal
        self.lag_s: float | None = None
        self.outage: str | None = None
        self._spool = spool
        self._store = store
        self._processors = processors
        self._drops: Tally[Series] = Tally()
        self._clock_ns = clock_ns
        self._is_backlog = False
        self._after_id = store.last_applied(signal)
        spool.advance(signal, self._after_id)

    def run(self, stopping: threading.Event) -> None:
        """Move payloads until `stopping` is set, waiting up to a third of a second for a batch to fill."""
        failures = 0
        while not stopping.is_set():
            try:
                moved = self.step()
            except StoreUnavailable as error:
                self.outage = str(error)
                wait_s = _RETRY_WAITS_S[min(failures, len(_RETRY_WAITS_S) - 1)]
                if failures == 0:
                    log.error("store unavailable, the spool keeps what comes", signal=self.signal, error=str(error))
                failures += 1
                stopping.wait(wait_s)
                continue
            if failures:
                log.info("store available again", signal=self.signal)
                failures = 0
                self.outage = None
            if not self._is_backlog:
                stopping.wait(_IDLE_WAIT_S if moved == 0 else _FILL_WAIT_S)

    def drain(self) -> int:
        """Move all that is in the spool now and return how many records that was."""
        total = 0
        while moved := self.step():
            total += moved
        return total

    def step(self) -> int:
        """Move at most one batch and return how many records it had; 0 means that the spool is empty.

        Raises `StoreUnavailable`; the batch stays in the spool.
        """
        taken = self._spool.take(self.signal, after_id=self._after_id, max_records=ROW_GROUP, max_bytes=MAX_BATCH_BYTES)
        self._is_backlog = _is_full(taken)
        if not taken:
            return 0
        self._drops.clear()  # of a batch that could not be stored: it is decided anew
        stored = self._store_all(taken)
        # The wall clock may have been set back since.
        self.lag_s = max(0.0, (self._clock_ns() - min(spooled.received_ns for spooled in taken)) / 1e9)
        self._after_id = taken[-1].id
        counts = Tally({Series("stored", self.signal, "", self.reader): stored} if stored else {})
        self._spool.advance(self.signal, self._after_id, counts=counts + self._drops)
        return max(1, sum(spooled.records for spooled in taken))

    def _store_all(self, taken: list[Spooled]) -> int:
        """Store payloads in order; halve a list that fails until the payloads at fault stand alone.

        Returns how many records were added.
        """
        try:
            table = decode(self.signal, [spooled.body for spooled in taken])
            return self._write(
                Batch(signal=self.signal, table=table, select=SELECTS[self.signal], last_id=taken[-1].id)
            )
        except BadPayload as error:
            if len(taken) == 1:
                log.error("payload set aside", signal=self.signal, records=taken[0].records, reason=str(error))
                self._spool.set_aside(self.signal, taken[0], str(error))
                return 0
            middle = len(taken) // 2
            return self._store_all(taken[:middle]) + self._store_all(taken[middle:])

    def _write(self, batch: Batch) -> int:
        if self._processors is None:
            return self._store.write(batch)
        processed = self._processors.process(batch)
        stored = self._store.write(processed.batch)
        self._processors.settle(processed)
        for drop in processed.drops:
            self._drops[Series("dropped", self.signal, drop.reason, drop.processor, drop.service)] += drop.records
        return stored


def _is_full(taken: list[Spooled]) -> bool:
    """Whether a bound has cut the batch off, so that more is likely to wait."""
    records, size = sum(spooled.records for spooled in taken), sum(len(spooled.body) for spooled in taken)
    return records >= _FULL * ROW_GROUP or size >= _FULL * MAX_BATCH_BYTES


class Runnable(Protocol):
    """What moves payloads of one signal until it is told to stop."""

    @property
    def signal(self) -> Signal:
        """What it moves."""
        ...

    @property
    def reader(self) -> str:
        """Where to."""
        ...

    def run(self, stopping: threading.Event) -> None:
        """Move payloads until `stopping` is set."""
        ...


def run_in_thread(pipeline: Runnable, stopping: threading.Event) -> threading.Thread:
    """Start a pipeline in a thread.

    A failure that nobody foresaw ends the process with status 70, and its supervisor starts it again: a collector
    that answers but stores nothing would be worse.
    """

    def run() -> None:
        try:
            pipeline.run(stopping)
        except BaseException:
            log.exception("pipeline failed, ending the process", signal=pipeline.signal, reader=pipeline.reader)
            os._exit(70)

    thread = threading.Thread(target=run, name=f"{pipeline.reader}-{pipeline.signal}", daemon=True)
    thread.start()
    return thread
