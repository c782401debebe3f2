"""One signal (spans, or logs): its queue, the batches that are on their way, and what became of the others."""

import threading
from collections import deque
from collections.abc import Callable
from random import random
from time import monotonic, sleep
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

from clew.exporting.batch import MAX_BODY_BYTES, Batch, Kind, halves, make_batch
from clew.exporting.counters import NOT_ENCODED, REJECTED, TOO_LARGE, Counters
from clew.exporting.encoding import encode_request
from clew.exporting.outcome import Outcome, Transport
from clew.exporting.queue import BoundedQueue
from clew.spans import Scope

if TYPE_CHECKING:
    from clew.exporting.disk import Claim, DiskBuffer

FIRST_BACKOFF_S: Final = 0.5
MAX_BACKOFF_S: Final = 30.0
MAX_RETRY_AFTER_S: Final = 60.0
"""A collector that asks for more, or a clock that is wrong, does not silence a service for longer."""

_SLICE_RECORDS: Final = 512
"""About a millisecond's encoding. Shorter ones cost the service more than they give it: each handing over of the
interpreter's lock takes time and the caches; with 32, a log line took 18 to 25 us all in, with 256 it takes 14."""

_PAUSE_S: Final = 0.000_05
"""Between slices: a thread that only computes would make the service's own wait for the interpreter, 5 ms each time."""


class Scoped(Protocol):
    """A record that knows who made it."""

    scope: Scope


RecordT = TypeVar("RecordT", bound=Scoped)


class Signal(Generic[RecordT]):
    """Belongs to the export thread, but for `queue.put`, `counters` and, at the end, `set_aside_all` and `abandon`."""

    def __init__(
        self,
        kind: Kind,
        *,
        resource: bytes,
        encode: Callable[[RecordT], bytes],
        queue: BoundedQueue[RecordT],
        batch_records: int,
        is_gzip: bool,
    ) -> None:
        self.kind = kind
        self.queue = queue
        self.disk: DiskBuffer | None = None
        self._resource = resource
        self._encode = encode
        self._batch_records = batch_records
        self._is_gzip = is_gzip
        self._counters = Counters()
        self._pending: deque[Batch] = deque()
        self._own: list[RecordT] = []
        self._lock = threading.Lock()
        """Held where records change hands; never while anything is sent."""
        self._backoff_s = FIRST_BACKOFF_S
        self.is_awaited = False
        """Whether somebody waits for all this to be sent: then it is not done in slices."""

        self.retry_at_s = 0.0
        """When the collector may be asked again, on the monotonic clock; 0 if it took the last batch."""

    @property
    def is_failing(self) -> bool:
        """Whether the collector did not take the last batch for now."""
        return self.retry_at_s > 0

    @property
    def has_pending(self) -> bool:
        """Whether a batch waits in memory to be sent."""
        return bool(self._pending)

    def next_at_s(self) -> float:
        """When there is something to do again, on the monotonic clock, though nothing new is queued."""
        if self._pending or (self.disk is not None and self.retry_at_s > monotonic()):
            return self.retry_at_s
        return float("inf")

    def counters(self) -> Counters:
        """A copy of the counts, as they are now."""
        counters = Counters()
        counters.sent = self._counters.sent
        counters.set_aside = self._counters.set_aside
        counters.dropped = {**self.queue.dropped(), **self._counters.dropped}
        counters.waiting = len(self.queue) + sum([batch.records for batch in tuple(self._pending)])
        return counters

    def drop(self, reason: str, records: int) -> None:
        """Count records as dropped."""
        self._counters.drop(reason, records)

    def add(self, record: RecordT) -> None:
        """Send this with the next batch, however full the queue is; it is not counted."""
        self._own = [record]

    def fill(self, max_records: int, *, is_urgent: bool) -> int:
        """Encode the oldest records as the next batch, or as several if they are large; how many were taken."""
        with self._lock:
            records = self.queue.take(min(max_records, self._batch_records))
            taken = len(records)
            own, self._own = self._own, []
            records += own
            encoded: list[tuple[Scope, bytes]] = []
            size = 0
            encode = self._encode
            for number, record in enumerate(records):
                if number and not number % _SLICE_RECORDS and not is_urgent and not self.is_awaited:
                    sleep(_PAUSE_S)
                try:
                    part = encode(record)
                except Exception:  # noqa: BLE001  (one record must not take its batch with it, nor the thread)
                    self.drop(NOT_ENCODED, 1)
                    continue
                size += len(part)
                if size > MAX_BODY_BYTES and encoded:
                    self._append(encoded, len(encoded))
                    encoded, size = [], len(part)
                encoded.append((record.scope, part))
            # What clew says of itself is in no count.
            self._append(encoded, len(encoded) - len(own))
        return taken

    def send_next(self, transport: Transport) -> Outcome:
        """Send the oldest batch in memory."""
        batch = self._pending[0]
        outcome = _send(transport, batch)
        with self._lock:
            # At the end of the process another thread may have taken it over meanwhile.
            if not self._pending or self._pending[0] is not batch:
                return outcome
            if not outcome.may_retry:
                self._pending.popleft()
            self._settle(batch, outcome)
        return outcome

    def send_claimed(self, claim: "Claim", transport: Transport) -> Outcome:
        """Send a batch out of the disk buffer."""
        try:
            outcome = _send(transport, claim.batch)
            with self._lock:
                self._settle(claim.batch, outcome)
        except BaseException:
            claim.release()
            raise
        if outcome.may_retry:
            claim.release()
        else:
            claim.remove()
        return outcome

    def set_aside(self) -> None:
        """Write the batches that wait in memory to the disk, as far as it takes them."""
        with self._lock:
            self._set_aside()

    def set_aside_all(self, until_s: float) -> None:
        """The same with all that is queued, at the end of the process; stops when the time is over."""
        while monotonic() < until_s:
            self.set_aside()
            if self._pending or not self.fill(self._batch_records, is_urgent=True):
                return

    def abandon(self, reason: str) -> None:
        """Count all that still waits as dropped."""
        # Whoever holds the lock now is late, and counts what it has itself.
        is_locked = self._lock.acquire(timeout=0.05)
        try:
            self.drop(reason, len(self.queue.take(len(self.queue))))
            while self._pending:
                self.drop(reason, self._pending.popleft().records)
        finally:
            if is_locked:
                self._lock.release()

    def _append(self, encoded: list[tuple[Scope, bytes]], records: int) -> None:
        if encoded:
            body = encode_request(self._resource, encoded)
            self._pending.append(make_batch(self.kind, body, records, is_gzip=self._is_gzip))

    def _settle(self, batch: Batch, outcome: Outcome) -> None:
        """Draw the consequences of sending; the batch is no longer in memory unless it may be sent again."""
        if outcome.may_retry:
            self._back_off(outcome.retry_after_s)
            return
        self._backoff_s, self.retry_at_s = FIRST_BACKOFF_S, 0.0
        if outcome.is_too_large:
            self._split(batch)
        elif outcome.problem:
            self.drop(REJECTED, batch.records)
        else:
            rejected = min(outcome.rejected_records, batch.records)
            self._counters.sent += batch.records - rejected
            self.drop(REJECTED, rejected)

    def _split(self, batch: Batch) -> None:
        try:
            parts = halves(batch)
        except ValueError:
            parts = []
        if not parts:
            self.drop(TOO_LARGE, batch.records)
        self._pending.extendleft(reversed(parts))

    def _set_aside(self) -> None:
        while self.disk is not None and self._pending and self.disk.write(self._pending[0]):
            self._counters.set_aside += self._pending.popleft().records

    def _back_off(self, asked_s: float | None) -> None:
        # Not in step with the other processes that lost the same collector.
        wait_s = self._backoff_s * (0.5 + random() / 2) if asked_s is None else asked_s
        self.retry_at_s = monotonic() + min(max(wait_s, 0.0), MAX_RETRY_AFTER_S)
        self._backoff_s = min(self._backoff_s * 2, MAX_BACKOFF_S)


def _send(transport: Transport, batch: Batch) -> Outcome:
    try:
        return transport.send(batch)
    except Exception as error:  # noqa: BLE001  (a batch that cannot even be sent must not be tried for ever)
        return Outcome(problem=f"{type(error).__name__}: {error}")
