"""Decoding a batch while the one before it is on its way."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

import pyarrow as pa

from clew_collector.batch import Batch
from clew_collector.model import Signal, record
from clew_collector.spool import Spooled
from clew_collector.wire.otlp.numbered import NUMBERED_SELECTS, with_numbers
from clew_collector.wire.otlp.payload import decode

_PAYLOADS_AT_ONCE: Final = 8
"""Decoding holds the GIL: in between, those that send get their turn."""


class Ahead:
    """Payloads that were taken before their turn, and a thread that decodes them; one batch at most.

    They are only read: what becomes of them is noted when their turn has come.
    """

    def __init__(self, signal: Signal) -> None:
        self._signal = signal
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"ahead-{signal}")
        self._next: Next | None = None

    def begin(self, after_id: int, taken: Sequence[Spooled]) -> None:
        """Have these decoded, which come after a number."""
        self._next = Next(after_id=after_id, taken=taken, batch=self._thread.submit(decoded, self._signal, taken))

    def take(self, after_id: int) -> "Next | None":
        """What was begun, unless it comes after another number. It is not kept."""
        found, self._next = self._next, None
        return found if found is not None and found.after_id == after_id else None


@record
class Next:
    """A batch to be, of the payloads that come after a number."""

    after_id: int
    taken: Sequence[Spooled]
    batch: Future[Batch]


def decoded(signal: Signal, taken: Sequence[Spooled]) -> Batch:
    """Payloads as a batch whose records are numbered. Raises `BadPayload` if any of them cannot be read."""
    bodies = [spooled.body for spooled in taken]
    pieces = [
        decode(signal, bodies[start : start + _PAYLOADS_AT_ONCE]) for start in range(0, len(bodies), _PAYLOADS_AT_ONCE)
    ]
    table = with_numbers(signal, pa.concat_tables(pieces), [spooled.id for spooled in taken])
    return Batch(signal=signal, table=table, select=NUMBERED_SELECTS[signal], last_id=taken[-1].id)
