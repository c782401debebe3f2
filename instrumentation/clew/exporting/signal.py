"""One signal (spans, or logs): its queue, the batch that is on its way, and what became of the others."""

from collections.abc import Callable
from random import random
from typing import Final, Generic, Protocol, TypeVar

from clew.exporting.counters import NOT_ENCODED, QUEUE_FULL, REJECTED, Counters
from clew.exporting.encoding import encode_request
from clew.exporting.http import CollectorConnection, Outcome
from clew.exporting.queue import BoundedQueue
from clew.spans import Scope

FIRST_BACKOFF_S: Final = 0.5
MAX_BACKOFF_S: Final = 30.0


class Scoped(Protocol):
    """A record that knows who made it."""

    scope: Scope


RecordT = TypeVar("RecordT", bound=Scoped)


class Signal(Generic[RecordT]):
    """Belongs to the export thread, but for `queue.put`."""

    def __init__(
        self,
        path: str,
        resource: bytes,
        encode: Callable[[RecordT], bytes],
        queue: BoundedQueue[RecordT],
    ) -> None:
        self.queue = queue
        self._path = path
        self._resource = resource
        self._encode = encode
        self._counters = Counters()
        self._body: bytes | None = None
        self._body_records = 0
        self._backoff_s = FIRST_BACKOFF_S
        self.retry_at_s = 0.0
        """When the batch that was not taken may be sent again, on the caller's clock."""

    @property
    def is_retrying(self) -> bool:
        """Whether a batch waits for the collector to take it after all."""
        return self._body is not None

    def counters(self) -> Counters:
        """A copy of the counts, as they are now."""
        dropped = dict(self._counters.dropped)
        if self.queue.dropped:
            dropped[QUEUE_FULL] = self.queue.dropped
        return Counters(sent=self._counters.sent, dropped=dropped, waiting=len(self.queue) + self._body_records)

    def send_next(self, connection: CollectorConnection, *, max_records: int, now_s: float) -> Outcome | None:
        """Send the batch that was not taken before, else the next one. None: there was nothing to send."""
        if self._body is None:
            self._fill(max_records)
        if self._body is None:
            return None
        outcome = connection.post(self._path, self._body)
        if outcome.may_retry:
            self._back_off(outcome.retry_after_s, now_s)
            return outcome
        if outcome.problem:
            self._counters.drop(REJECTED, self._body_records)
        else:
            self._counters.sent += self._body_records
        self._clear()
        return outcome

    def abandon(self, reason: str) -> None:
        """Count all that still waits as dropped."""
        self._counters.drop(reason, len(self.queue.take(len(self.queue))) + self._body_records)
        self._clear()

    def _fill(self, max_records: int) -> None:
        records = self.queue.take(max_records)
        encoded = []
        for record in records:
            try:
                encoded.append((record.scope, self._encode(record)))
            except Exception:  # noqa: BLE001  (one record must not take its batch with it, nor the thread)
                self._counters.drop(NOT_ENCODED, 1)
        if encoded:
            self._body, self._body_records = encode_request(self._resource, encoded), len(encoded)

    def _back_off(self, asked_s: float | None, now_s: float) -> None:
        # Not in step with the other processes that lost the same collector.
        wait_s = self._backoff_s * (0.5 + random() / 2) if asked_s is None else asked_s
        self.retry_at_s = now_s + min(max(wait_s, 0.0), MAX_BACKOFF_S)
        self._backoff_s = min(self._backoff_s * 2, MAX_BACKOFF_S)

    def _clear(self) -> None:
        self._body, self._body_records = None, 0
        self._backoff_s, self.retry_at_s = FIRST_BACKOFF_S, 0.0
