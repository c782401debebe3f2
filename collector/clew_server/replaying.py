"""Sending what is stored to a sink once more: rows of the store become payloads in the queue, for that sink alone."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final, Protocol

import pyarrow as pa

from clew_collector.errors import SpoolFull, StoreUnavailable
from clew_collector.model import record
from clew_collector.payload import Payload
from clew_collector.spool import Spool
from clew_collector.stores.duckdb.ranges import StoredBatch
from clew_collector.wire.otlp.from_rows import cut_rows, encode_rows
from clew_server.stored_records import Range

SHARE: Final = 2
"""What replays go into is the first half of the spool: the other one is left to what arrives."""

MAX_WAITING_BYTES: Final = 32 << 20
"""What waits of a replay at once: a second or two of a sink's time, by which what arrives meanwhile is late."""

_MAX_PAYLOAD_RECORDS: Final = 2_000
_MAX_PAYLOAD_BYTES: Final = 2 << 20
_WAIT_S: Final = 0.1


@record
class Plan:
    """What there is to send of the range `asked`: the batches with records of `sent`, which may be less of it.

    `left_out` is how many records of it still wait for the sink as they came. `done` is how far an earlier replay of
    the same range has come: the batch, and how many records of that.
    """

    asked: Range
    sent: Range
    batches: Sequence[StoredBatch]
    left_out: int = 0
    done: tuple[int, int] = (-1, 0)

    @property
    def is_begun(self) -> bool:
        """Whether a part was sent before."""
        return self.done > (-1, 0)

    @property
    def records(self) -> int:
        """How many records are still to be sent."""
        last_id, position = self.done
        return sum(batch.records - position * (batch.id == last_id) for batch in self.batches if batch.id >= last_id)


class Records(Protocol):
    """What is stored. Both methods raise `StoreUnavailable`."""

    def batches(self, asked: Range) -> list[StoredBatch]:
        """The batches with records of a range, in the order in which they were stored."""
        ...

    def rows(self, asked: Range, batch_id: int) -> Iterator[pa.RecordBatch]:
        """The records of a batch, in the order in which they were stored, each time the same."""
        ...


class Replay:
    """Sends ranges of what is stored to one sink. `spool` has the bounds that a replay keeps to.

    How far it is goes to disk with each payload: whenever it ends, the same plan made again goes on behind that, until
    the range is forgotten.
    """

    def __init__(
        self,
        records: Records,
        spool: Spool,
        sink: str,
        *,
        max_waiting_bytes: int = MAX_WAITING_BYTES,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.sink = sink
        self._records = records
        self._spool = spool
        self._max_waiting_bytes = max_waiting_bytes
        self._sleep = sleep

    def plan(self, asked: Range) -> Plan:
        """What there is to send, but for what still waits for the sink and is sent to it anyway."""
        mark = self._spool.checkpoints(self._key(asked)).get(self._key(asked), "-1:0")
        batch_id, _, position = mark.partition(":")
        batches = self._records.batches(asked)
        plan = Plan(asked=asked, sent=asked, batches=batches, done=(int(batch_id), int(position)))
        waiting = self._spool.oldest_live(self.sink, asked.signal)
        return plan if waiting is None else self._without_waiting(plan, *waiting)

    def _without_waiting(self, plan: Plan, first_id: int, oldest_ns: int) -> Plan:
        """Leave out batches of which all payloads wait; of one that waits in part, what is as new as the oldest."""
        cursor = self._spool.cursor(self.sink, plan.asked.signal)
        reached_id = cursor if cursor >= 0 else first_id - 1
        sent = replace(plan.sent, to_ns=min(plan.sent.to_ns, oldest_ns))
        batches = [batch for batch in self._records.batches(sent) if batch.after_id < reached_id]
        left_out = sum(batch.records for batch in plan.batches) - sum(batch.records for batch in batches)
        return replace(plan, sent=sent, batches=batches, left_out=left_out)

    def forget(self, asked: Range) -> None:
        """Have the next plan for a range begin at its beginning."""
        self._spool.keep_checkpoints({self._key(asked): ""})

    def send(self, plan: Plan) -> Iterator[int]:
        """Put the records of a plan into the queue, and tell how many after each payload.

        0 is told again and again while there is no room. Raises `StoreUnavailable` if the store does not answer.
        """
        last_id, done = plan.done
        for batch in plan.batches:
            position = 0
            for rows in self._rows(plan.sent, batch) if batch.id >= last_id else ():
                start, position = position, position + rows.num_rows
                left = rows.slice(max(0, done - start)) if batch.id == last_id else rows
                if left.num_rows:
                    yield from self._append(plan.asked, left, mark=f"{batch.id}:{position}")

    def until_taken(self) -> Iterator[None]:
        """Tell again and again that the sink has not taken all of it yet."""
        while self._spool.replayed_bytes(self.sink):
            yield
            self._sleep(_WAIT_S)

    def _rows(self, sent: Range, batch: StoredBatch) -> Iterator[pa.RecordBatch]:
        for rows in self._records.rows(sent, batch.id):
            yield from cut_rows(rows, max_records=_MAX_PAYLOAD_RECORDS, max_bytes=_MAX_PAYLOAD_BYTES)

    def _append(self, asked: Range, rows: pa.RecordBatch, *, mark: str) -> Iterator[int]:
        payload = Payload(
            signal=asked.signal,
            body=encode_rows(asked.signal, rows),
            records=rows.num_rows,
            digest=b"",  # nothing is left out because it came before
            checkpoints={self._key(asked): mark},
        )
        while not self._has_taken(payload):
            yield 0
            self._sleep(_WAIT_S)
        yield rows.num_rows

    def _has_taken(self, payload: Payload) -> bool:
        if self._spool.replayed_bytes(self.sink) >= self._max_waiting_bytes:
            return False
        try:
            self._spool.append_replayed(payload, reader=self.sink)
        except (SpoolFull, StoreUnavailable):
            return False
        return True

    def _key(self, asked: Range) -> str:
        return f"replay:{self.sink}:{asked.signal}:{asked.from_ns}:{asked.to_ns}"
