"""From the spool into the store: take, decode, write, delete, and never let one bad payload stop the rest."""

import os
import threading
from typing import Final, Protocol

import structlog

from clew_collector.batch import Batch
from clew_collector.errors import BadPayload, StoreUnavailable
from clew_collector.model import Signal
from clew_collector.spool import Spool, Spooled
from clew_collector.wire.otlp.payload import decode
from clew_collector.wire.otlp.select import SELECTS

ROW_GROUP: Final = 122_880
"""Rows of a DuckDB row group. A transaction of a whole one stores twice as fast as one of half of it."""

MAX_BATCH_BYTES: Final = 96 << 20
"""Bounds the memory of one batch, about five times this while it is decoded."""

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

    A payload leaves the spool after the store has it durably. Payloads that came between a write and its deletion
    when the process died are still in the spool: the store knows their numbers and skips them.
    """

    def __init__(self, signal: Signal, spool: Spool, store: BatchSink) -> None:
        self.signal = signal
        self._spool = spool
        self._store = store
        self._after_id = store.last_applied(signal)
        spool.advance(signal, self._after_id)

    def run(self, stopping: threading.Event) -> None:
        """Move payloads until `stopping` is set, waiting up to a third of a second for a batch to fill."""
        failures = 0
        while not stopping.is_set():
            try:
                moved = self.step()
            except StoreUnavailable as error:
                wait_s = _RETRY_WAITS_S[min(failures, len(_RETRY_WAITS_S) - 1)]
                if failures == 0:
                    log.error("store unavailable, the spool keeps what comes", signal=self.signal, error=str(error))
                failures += 1
                stopping.wait(wait_s)
                continue
            if failures:
                log.info("store available again", signal=self.signal)
                failures = 0
            if moved < ROW_GROUP:
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
        if not taken:
            return 0
        self._store_all(taken)
        self._after_id = taken[-1].id
        self._spool.advance(self.signal, self._after_id)
        return max(1, sum(spooled.records for spooled in taken))

    def _store_all(self, taken: list[Spooled]) -> None:
        """Store payloads in order; halve a list that fails until the payloads at fault stand alone."""
        try:
            table = decode(self.signal, [spooled.body for spooled in taken])
            batch = Batch(signal=self.signal, table=table, select=SELECTS[self.signal], last_id=taken[-1].id)
            self._store.write(batch)
        except BadPayload as error:
            if len(taken) == 1:
                log.error("payload set aside", signal=self.signal, records=taken[0].records, reason=str(error))
                self._spool.set_aside(self.signal, taken[0], str(error))
                return
            middle = len(taken) // 2
            self._store_all(taken[:middle])
            self._store_all(taken[middle:])


def run_in_thread(pipeline: Pipeline, stopping: threading.Event) -> threading.Thread:
    """Start a pipeline in a thread.

    A failure that nobody foresaw ends the process with status 70, and its supervisor starts it again: a collector
    that answers but stores nothing would be worse.
    """

    def run() -> None:
        try:
            pipeline.run(stopping)
        except BaseException:
            log.exception("pipeline failed, ending the process", signal=pipeline.signal)
            os._exit(70)

    thread = threading.Thread(target=run, name=f"pipeline-{pipeline.signal}", daemon=True)
    thread.start()
    return thread
