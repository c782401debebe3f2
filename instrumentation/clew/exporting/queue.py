"""A bounded queue that its writers never wait for."""

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Generic, TypeVar

from clew.exporting.counters import QUEUE_BYTES, QUEUE_FULL
from clew.exporting.turns import Turns

RecordT = TypeVar("RecordT")


class BoundedQueue(Generic[RecordT]):
    """Finished records in their order, bounded by their number and by their size. Full: the new one is dropped.

    `put` takes no lock, because it runs in the middle of somebody's request: a deque's `append` is atomic, and so is
    adding to a number under the GIL. With many threads a bound may be passed by as many records as there are threads.
    """

    def __init__(
        self,
        *,
        max_records: int,
        max_bytes: int,
        batch_records: int,
        batch_bytes: int,
        size_of: Callable[[RecordT], int],
        wake: Callable[[], None],
        turns: Turns,
    ) -> None:
        self._records: deque[RecordT] = deque()
        self._append = self._records.append
        self._sizes: deque[int] = deque()
        self._append_size = self._sizes.append
        self._bytes = 0
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._batch_records = batch_records
        self._last_of_batch = batch_records - 1
        self._batch_bytes = batch_bytes
        self._size_of = size_of
        self._wake = wake
        self._turns = turns
        self.dropped_full = 0
        self.dropped_bytes = 0

    def __len__(self) -> int:
        return len(self._records)

    @property
    def waiting_bytes(self) -> int:
        """About how much memory the waiting records take."""
        return self._bytes

    @property
    def has_batch(self) -> bool:
        """Whether enough waits to be sent without waiting for more."""
        return len(self._records) >= self._batch_records or self._bytes >= self._batch_bytes

    def put(self, record: RecordT) -> None:
        """Queue a record, or count it as dropped; never waits for anything (but see `Turns`), never raises."""
        waiting = len(self._records)
        if waiting >= self._max_records:
            self.dropped_full += 1
            return
        size = self._size_of(record)
        before = self._bytes
        after = before + size
        # A record that is larger than the bound by itself may wait alone.
        if after > self._max_bytes and waiting:
            self.dropped_bytes += 1
            return
        self._append(record)
        self._append_size(size)
        self._bytes += size
        if waiting == self._last_of_batch or before < self._batch_bytes <= after:
            self._wake()
        turns = self._turns
        if monotonic() >= turns.next_at_s:
            turns.step_aside()

    def take(self, max_records: int) -> list[RecordT]:
        """The oldest records, at most `max_records`."""
        taken = _take_first(self._records, max_records)
        self._bytes -= sum(_take_first(self._sizes, len(taken)))
        if not self._records:
            # Where adding is not atomic after all (a build without the GIL), errors must not add up.
            self._sizes.clear()
            self._bytes = 0
        return taken

    def dropped(self) -> dict[str, int]:
        """Records that were not queued, by reason."""
        counts = {QUEUE_FULL: self.dropped_full, QUEUE_BYTES: self.dropped_bytes}
        return {reason: records for reason, records in counts.items() if records}


def _take_first(waiting: deque[RecordT], at_most: int) -> list[RecordT]:
    taken: list[RecordT] = []
    take, keep = waiting.popleft, taken.append
    # At the end of the process another thread may take some, too; and one that queues adds a size after its record.
    with suppress(IndexError):
        for _ in range(min(at_most, len(waiting))):
            keep(take())
    return taken
