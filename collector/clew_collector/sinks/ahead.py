"""What can be done beside a batch that is on its way: preparing the next one, and forgetting the one before it."""

import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

import duckdb
import pyarrow as pa

from clew_collector.batch import Batch
from clew_collector.errors import BadPayload, ClewError
from clew_collector.model import Signal, record
from clew_collector.sinks.pacing import BatchSize
from clew_collector.sinks.waiting import Waiting, is_full
from clew_collector.spool import Spooled
from clew_collector.wire.otlp.numbered import NUMBERED_SELECTS, with_numbers
from clew_collector.wire.otlp.payload import decode

_PAYLOADS_AT_ONCE: Final = 8
"""Decoding holds the GIL: in between, those that send get their turn."""


@record
class Next:
    """A batch to be, of the payloads that come after a number; what cannot be made of it ahead is missing."""

    after_id: int
    taken: Sequence[Spooled]
    batch: Batch | None = None
    encoded: Sequence[Any] | None = None


class Ahead:
    """One thread for all of it, which has a view of the spool of its own: `open_waiting` is called there.

    `encode` makes of a batch of these payloads what the sink is given with it, or nothing. The methods are for the
    thread that ships.
    """

    def __init__(
        self,
        signal: Signal,
        open_waiting: Callable[[], Waiting],
        size: BatchSize,
        encode: Callable[[Batch, Sequence[Spooled]], Sequence[Any] | None],
    ) -> None:
        self._signal = signal
        self._open_waiting = open_waiting
        self._size = size
        self._encode = encode
        self._waiting: Waiting | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"ahead-{signal}")
        self._next: Future[Next | None] | None = None

    def begin(self, after_id: int) -> None:
        """Have the batch after this number prepared, if there is one that would be no larger if it were taken later."""
        self._next = self._thread.submit(self._prepare, after_id)

    def take(self, after_id: int) -> Next | None:
        """What was begun, unless it comes after another number; blocks until it is there. It is not kept."""
        begun, self._next = self._next, None
        found = None if begun is None else begun.result()
        return found if found is not None and found.after_id == after_id else None

    def forget(self) -> None:
        """Have that forgotten which every reader has by now."""
        self._thread.submit(self._forget)

    def wait(self) -> None:
        """Block until it has done what it was given."""
        self._thread.submit(lambda: None).result()

    def close(self) -> None:
        """End the thread, when it has done what it was given. Not to be used afterwards."""
        self._thread.submit(self._release)
        self._thread.shutdown()

    def _prepare(self, after_id: int) -> Next | None:
        try:
            taken = self._view().take(after_id, self._size)
        except (ClewError, sqlite3.Error):  # who ships will meet it, too, and tell
            return None
        if not is_full(taken, self._size):
            return None
        try:
            batch = decoded(self._signal, taken)
        except BadPayload:
            return Next(after_id=after_id, taken=taken)
        return Next(after_id=after_id, taken=taken, batch=batch, encoded=self._encoded(batch, taken))

    def _encoded(self, batch: Batch, taken: Sequence[Spooled]) -> Sequence[Any] | None:
        try:
            return self._encode(batch, taken)
        except duckdb.Error:
            return None

    def _forget(self) -> None:
        self._view().forget()

    def _view(self) -> Waiting:
        if self._waiting is None:
            self._waiting = self._open_waiting()
        return self._waiting

    def _release(self) -> None:
        if self._waiting is not None:
            self._waiting.spool.close()


def decoded(signal: Signal, taken: Sequence[Spooled]) -> Batch:
    """Payloads as a batch whose records are numbered. Raises `BadPayload` if any of them cannot be read."""
    bodies = [spooled.body for spooled in taken]
    pieces = [
        decode(signal, bodies[start : start + _PAYLOADS_AT_ONCE]) for start in range(0, len(bodies), _PAYLOADS_AT_ONCE)
    ]
    table = with_numbers(signal, pa.concat_tables(pieces), [spooled.id for spooled in taken])
    return Batch(signal=signal, table=table, select=NUMBERED_SELECTS[signal], last_id=taken[-1].id)
