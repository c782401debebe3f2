"""What waits in the spool for one sink, of one signal."""

from collections.abc import Sequence

from clew_collector.model import Signal
from clew_collector.sinks.pacing import BatchSize
from clew_collector.spool import Spool, Spooled


class Waiting:
    """A sink's view of a spool. For the thread that the spool is for.

    Before a batch is handed over, its newest number goes to disk: whatever dies, the sink is told afterwards which
    payloads it may have been given before.
    """

    def __init__(self, spool: Spool, reader: str, signal: Signal) -> None:
        self.spool = spool
        self._reader = reader
        self._signal = signal
        self._attempt_key = f"sink:{reader}:{signal}"

    def attempted_id(self) -> int:
        """Number of the newest payload that the sink may have been given; -1 at first."""
        return int(self.spool.checkpoints(self._attempt_key).get(self._attempt_key, "-1"))

    def note_attempt(self, last_id: int) -> None:
        """Keep it; blocks for a disk sync. Raises `StoreUnavailable`."""
        self.spool.keep_checkpoints({self._attempt_key: str(last_id)})

    def take(self, after_id: int, size: BatchSize) -> list[Spooled]:
        """The oldest payloads beyond a number, up to a size."""
        return self.spool.take(
            self._signal, after_id=after_id, max_records=size.records, max_bytes=size.bytes, reader=self._reader
        )

    def forget(self) -> None:
        """Forget what every reader has by now."""
        self.spool.forget(self._signal, reader=self._reader)


def records_of(taken: Sequence[Spooled]) -> int:
    """How many records these payloads have."""
    return sum(spooled.records for spooled in taken)


def is_full(taken: Sequence[Spooled], size: BatchSize) -> bool:
    """Whether these are so many that more is likely to wait."""
    return 2 * records_of(taken) > size.records or 2 * sum(len(spooled.body) for spooled in taken) > size.bytes
