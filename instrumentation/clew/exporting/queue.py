"""A bounded queue that its writers never wait for."""

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

RecordT = TypeVar("RecordT")


class BoundedQueue(Generic[RecordT]):
    """Finished records in their order. Full: the new one is dropped and counted.

    `put` takes no lock, because it runs in the middle of somebody's request; a deque's `append` is atomic. With many
    threads the bound may be passed by as many records as there are threads.
    """

    def __init__(self, *, max_records: int, batch_records: int, wake: Callable[[], None]) -> None:
        self._records: deque[RecordT] = deque()
        self._append = self._records.append
        self._max_records = max_records
        self._batch_records = batch_records
        self._wake = wake
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._records)

    def put(self, record: RecordT) -> None:
        """Queue a record, or count it as dropped; never blocks, never raises."""
        size = len(self._records)
        if size >= self._max_records:
            self.dropped += 1
            return
        self._append(record)
        if size == self._batch_records:
            self._wake()

    def take(self, max_records: int) -> list[RecordT]:
        """The oldest records, at most `max_records`."""
        taken: list[RecordT] = []
        try:
            while len(taken) < max_records:
                taken.append(self._records.popleft())
        except IndexError:
            pass
        return taken
