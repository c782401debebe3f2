"""From the spool into a sink: take, decode, process, hand over, move on, whatever the other side is up to."""

import threading
import time
from collections import Counter as Tally
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any, Final

import duckdb
import structlog

from clew_collector.batch import Batch
from clew_collector.errors import BadPayload, ClewError, StoreUnavailable
from clew_collector.model import Signal
from clew_collector.processors.base import Drop
from clew_collector.processors.config import Processors
from clew_collector.sinks.ahead import Ahead, Next, decoded
from clew_collector.sinks.base import (
    DroppingSink,
    EncodingSink,
    Outgoing,
    PatientSink,
    RefusedRecord,
    Sink,
    SinkRejected,
    SinkUnavailable,
)
from clew_collector.sinks.pacing import BackOff, BatchBounds, BatchSize
from clew_collector.sinks.refused import by_payload, only_records
from clew_collector.sinks.waiting import Waiting, is_full, records_of
from clew_collector.spool import Series, Spool, Spooled

_IDLE_WAIT_S: Final = 0.05
_FILL_WAIT_S: Final = 0.3
_MAX_KIND_LENGTH: Final = 100
# What a payload cannot cause: no memory, no space. Everything else in DuckDB is the batch's own fault.
_NOT_THE_BATCH: Final = (duckdb.OperationalError, duckdb.FatalException, duckdb.InternalException)

log = structlog.get_logger(__name__)


class Shipping:
    """Moves payloads of one signal from a spool into a sink; one thread of its own runs it.

    It keeps a cursor of its own, under the sink's name, so that a slow sink holds nobody else. A payload counts as
    shipped when the sink has acknowledged it. Before a batch is handed over, its newest number goes to disk: whatever
    dies, the sink is told afterwards which payloads it may have been given before (`Outgoing.attempted_id`).

    While there is a backlog, the next batch is prepared as the sink writes this one, and the last one forgotten.

    Other threads may read how it fares: `lag_s` is how long the oldest payload of the last batch took from its
    receipt until it was acknowledged, `None` before the first one; `outage` is why the sink takes nothing, `None`
    while it does.
    """

    def __init__(
        self,
        signal: Signal,
        spool: Spool,
        sink: Sink,
        *,
        bounds: BatchBounds,
        processors: Processors | None = None,
        back_off: BackOff | None = None,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.signal = signal
        self.reader = sink.name
        self.lag_s: float | None = None
        self.outage: str | None = None
        self._spool = spool
        self._sink = sink
        self._size = BatchSize(bounds)
        self._processors = processors
        self._back_off = back_off or BackOff()
        self._clock_ns = clock_ns
        self._counts: Tally[Series] = Tally()
        self._fill_wait_s = sink.fill_wait_s if isinstance(sink, PatientSink) else _FILL_WAIT_S
        self._was_full = False
        self._waiting = Waiting(spool, self.reader, signal)
        self._ahead = Ahead(
            signal,
            lambda: Waiting(Spool(spool.path), sink.name, signal),
            self._size,
            encode=self._encode,
        )
        self._after_id = spool.cursor(self.reader, signal)
        self._attempted_id = self._waiting.attempted_id()

    def run(self, stopping: threading.Event) -> None:
        """Move payloads until `stopping` is set, waiting up to a third of a second for a batch to fill.

        Not to be used afterwards.
        """
        with closing(self._ahead):
            while not stopping.is_set():
                try:
                    moved = self.step()
                except (SinkUnavailable, StoreUnavailable) as error:
                    stopping.wait(self._wait_after_s(error))
                    continue
                self._note_success()
                if not self._was_full:
                    stopping.wait(_IDLE_WAIT_S if moved == 0 else self._fill_wait_s)

    def drain(self) -> int:
        """Move all that is in the spool now and return how many records that was."""
        total = 0
        while moved := self.step():
            total += moved
        self._ahead.wait()
        return total

    def step(self) -> int:
        """Move at most one batch and return how many records it had; 0 means that the spool is empty.

        Raises `SinkUnavailable`, or `StoreUnavailable` for the spool; the batch stays in the spool.
        """
        ahead = self._ahead.take(self._after_id)
        taken = self._waiting.take(self._after_id, self._size) if ahead is None else ahead.taken
        self._was_full = is_full(taken, self._size)
        if not taken:
            return 0
        attempted_id = self._attempted_id
        if taken[-1].id > attempted_id:
            self._waiting.note_attempt(taken[-1].id)
            self._attempted_id = taken[-1].id
        self._counts.clear()
        if self._was_full:
            self._ahead.begin(taken[-1].id)
        try:
            self._ship_all(taken, attempted_id, ahead)
        except SinkUnavailable:
            self._size.shrink()
            raise
        self._size.grow()
        # The wall clock may have been set back since.
        self.lag_s = max(0.0, (self._clock_ns() - min(spooled.received_ns for spooled in taken)) / 1e9)
        self._after_id = taken[-1].id
        self._spool.note_advance(self.signal, self._after_id, reader=self.reader, counts=self._counts)
        if self._was_full:
            self._ahead.forget()
        else:
            self._waiting.forget()
        return max(1, records_of(taken))

    def _ship_all(self, taken: Sequence[Spooled], attempted_id: int, ahead: Next | None = None) -> None:
        """Hand payloads over in order; halve a list that is rejected until the payloads at fault stand alone."""
        try:
            self._ship(taken, attempted_id, ahead)
        except (BadPayload, SinkRejected) as error:
            if len(taken) == 1:
                self._set_aside(taken[0], str(error))
                return
            middle = len(taken) // 2
            # Some of it may have arrived before the rest was rejected.
            self._ship_all(taken[:middle], taken[-1].id)
            self._ship_all(taken[middle:], taken[-1].id)

    def _ship(self, taken: Sequence[Spooled], attempted_id: int, ahead: Next | None) -> None:
        with _translated_errors():
            batch = decoded(self.signal, taken) if ahead is None or ahead.batch is None else ahead.batch
            # What is replayed has kept to the rates already.
            limited = not taken[0].is_replayed
            processed = None if self._processors is None else self._processors.process(batch, with_limits=limited)
            select = batch.select if processed is None else processed.batch.select
            outgoing = self._outgoing(batch, taken, select)
            encoded = None if ahead is None else ahead.encoded
            refused = self._sink.write(replace(outgoing, attempted_id=attempted_id, encoded=encoded))
        dropped = 0
        if self._processors is not None and processed is not None:
            self._processors.settle(processed)
            dropped = self._count_drops(processed.drops)
        self._refuse(taken, refused)
        if isinstance(self._sink, DroppingSink):
            for reason, count in self._sink.take_dropped(self.signal).items():
                self._counts[Series("dropped", self.signal, reason, self.reader)] += count
                dropped += count
        shipped = records_of(taken) - len(refused) - dropped
        self._counts[Series("shipped", self.signal, "", self.reader)] += shipped

    def _encode(self, batch: Batch, taken: Sequence[Spooled]) -> Sequence[Any] | None:
        """What the sink makes of a batch before its turn, if that can be. On a thread of its own."""
        if not isinstance(self._sink, EncodingSink):
            return None
        select = batch.select
        if self._processors is not None:
            if self._processors.has_limits:
                return None
            select = self._processors.apply(self.signal, select)
        return self._sink.encode(self._outgoing(batch, taken, select))

    def _outgoing(self, batch: Batch, taken: Sequence[Spooled], select: str) -> Outgoing:
        return Outgoing(
            signal=self.signal,
            table=batch.table,
            select=select,
            payloads=taken,
            is_as_received=select == batch.select,
        )

    def _count_drops(self, drops: Sequence[Drop]) -> int:
        for drop in drops:
            series = Series("dropped", self.signal, drop.reason or drop.processor, self.reader, drop.service)
            self._counts[series] += drop.records
        return sum(drop.records for drop in drops)

    def _set_aside(self, spooled: Spooled, reason: str) -> None:
        log.error("payload set aside", sink=self.reader, signal=self.signal, records=spooled.records, reason=reason)
        self._spool.set_aside(self.signal, spooled, reason, reader=self.reader)

    def _refuse(self, taken: Sequence[Spooled], refused: Sequence[RefusedRecord]) -> None:
        """Set aside what was refused, without the rest of its payloads."""
        if not refused:
            return
        # Only what kind: particulars quote values, which may be secrets; they are with the dead letters.
        kinds = sorted({_kind_of(each.reason) for each in refused})
        log.error("records refused", sink=self.reader, signal=self.signal, records=len(refused), kinds=kinds)
        by_id = {spooled.id: spooled for spooled in taken}
        for part in by_payload(refused):
            spooled = by_id[part.payload_id]
            self._spool.set_aside(
                self.signal,
                spooled,
                part.reason,
                reader=self.reader,
                body=only_records(self.signal, spooled.body, part.positions),
                records=len(part.positions),
            )
        for each in refused:
            self._counts[Series("refused", self.signal, _kind_of(each.reason), self.reader)] += 1

    def _wait_after_s(self, error: ClewError) -> float:
        if self.outage is None:
            log.error(
                "sink unavailable, the spool keeps what comes", sink=self.reader, signal=self.signal, error=str(error)
            )
        self.outage = str(error)
        return self._back_off.next_wait_s(asked_for_s=getattr(error, "retry_after_s", None))

    def _note_success(self) -> None:
        if self.outage is not None:
            log.info("sink available again", sink=self.reader, signal=self.signal)
            self.outage = None
            self._back_off.reset()


@contextmanager
def _translated_errors() -> Iterator[None]:
    """Errors of DuckDB, by what is to be done about them."""
    try:
        yield
    except duckdb.Error as error:
        if isinstance(error, _NOT_THE_BATCH):
            raise SinkUnavailable(f"cannot encode: {error}") from error
        raise SinkRejected(f"cannot be encoded: {error}") from error


def _kind_of(reason: str) -> str:
    return reason.partition(":")[0][:_MAX_KIND_LENGTH]
