"""The export thread: takes what is queued, encodes it, sends it, and tries again when the collector is away.

All network, encoding and waiting happens here. Whoever calls `flush` or `shutdown` waits for this thread, for as long
as it said and no longer.
"""

import threading
from collections.abc import Callable, Mapping
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, Final

from clew.exporting.counters import SHUT_DOWN, Counters
from clew.exporting.encoding import encode_log, encode_resource, encode_span
from clew.exporting.http import CollectorConnection
from clew.exporting.outage import Outage
from clew.exporting.queue import BoundedQueue
from clew.exporting.signal import RecordT, Signal
from clew.freezing import Frozen
from clew.logs.record import LogRecord
from clew.spans import LightSpan

MAX_QUEUED_RECORDS: Final = 16_384
BATCH_RECORDS: Final = 512
BATCH_DELAY_S: Final = 1.0
"""A record waits for at most this long for others to travel with."""

THREAD_NAME: Final = "clew-export"


class _Flush:
    """Somebody waits until everything has been sent."""

    __slots__ = ("done", "is_complete")

    def __init__(self) -> None:
        self.done = threading.Event()
        self.is_complete = False


class Exporter:
    """Queues for spans and logs, and the daemon thread that empties them."""

    def __init__(self, endpoint: str, headers: Mapping[str, str], resource: Callable[[], Mapping[str, Frozen]]) -> None:
        self._endpoint = endpoint
        self._headers = headers
        self._resource = resource
        self.begin()

    def begin(self) -> None:
        """Start, or start anew in a forked child, which has the parent's queues and socket but not its thread."""
        # Written in C and safe to enter twice: a finalizer may log in the middle of a `put`.
        self._wakes: SimpleQueue[_Flush | None] = SimpleQueue()
        self._is_stopping = False
        self._gave_up = False
        self._connection = CollectorConnection(self._endpoint, self._headers)
        self._outage = Outage(self._endpoint)
        resource = encode_resource(self._resource())
        self.spans: Signal[LightSpan] = Signal("/v1/traces", resource, encode_span, self._queue())
        self.logs: Signal[LogRecord] = Signal("/v1/logs", resource, encode_log, self._queue())
        self._thread = threading.Thread(target=self._run, name=THREAD_NAME, daemon=True)
        self._thread.start()

    def counters(self) -> dict[str, Counters]:
        """What became of spans and of logs so far."""
        return {"spans": self.spans.counters(), "logs": self.logs.counters()}

    def flush(self, *, timeout_s: float) -> bool:
        """Wait until all that is queued now has been sent; False if that failed or took longer."""
        if not self._thread.is_alive():
            return False
        flush = _Flush()
        self._wakes.put(flush)
        return flush.done.wait(timeout_s) and flush.is_complete

    def finish(self, *, timeout_s: float) -> None:
        """Flush before the process ends. A second call does not wait again for a collector that did not answer."""
        self._gave_up = not self.flush(timeout_s=0.05 if self._gave_up else timeout_s)

    def shutdown(self, *, timeout_s: float) -> None:
        """Flush and end the thread; what is left is counted as dropped. Twice is the same as once."""
        end_s = monotonic() + timeout_s
        self.finish(timeout_s=timeout_s)
        self._is_stopping = True
        self._wakes.put(None)
        self._thread.join(max(0.0, end_s - monotonic()))
        self.spans.abandon(SHUT_DOWN)
        self.logs.abandon(SHUT_DOWN)

    def _queue(self) -> BoundedQueue[RecordT]:
        wakes = self._wakes
        return BoundedQueue(max_records=MAX_QUEUED_RECORDS, batch_records=BATCH_RECORDS, wake=lambda: wakes.put(None))

    def _run(self) -> None:
        everything_at_s = monotonic() + BATCH_DELAY_S
        while not self._is_stopping:
            flush = self._wait(everything_at_s)
            is_due = flush is not None or monotonic() >= everything_at_s
            self._export(min_records=1 if is_due else BATCH_RECORDS, is_urgent=flush is not None)
            if is_due:
                everything_at_s = monotonic() + BATCH_DELAY_S
            if flush is not None:
                flush.is_complete = not (self.spans.is_retrying or self.logs.is_retrying)
                flush.done.set()
        self._connection.close()

    def _wait(self, until_s: float) -> _Flush | None:
        """Sleep until a batch is full, a batch may be tried again, or somebody waits for a flush."""
        retries = [signal.retry_at_s for signal in (self.spans, self.logs) if signal.is_retrying]
        try:
            return self._wakes.get(timeout=max(0.0, min([until_s, *retries]) - monotonic()))
        except Empty:
            return None

    def _export(self, *, min_records: int, is_urgent: bool) -> None:
        for signal in (self.spans, self.logs):
            try:
                self._export_signal(signal, min_records=min_records, is_urgent=is_urgent)
            except Exception as error:  # noqa: BLE001  (the thread must outlive whatever it meets)
                self._outage.goes_on(f"{type(error).__name__}: {error}")

    def _export_signal(self, signal: Signal[Any], *, min_records: int, is_urgent: bool) -> None:
        # Only what waits now: chasing records as they come in would send them one by one.
        left = len(signal.queue)
        while signal.is_retrying or left >= min_records:
            if signal.is_retrying and not is_urgent and monotonic() < signal.retry_at_s:
                return
            batch_records = 0 if signal.is_retrying else min(left, BATCH_RECORDS)
            outcome = signal.send_next(self._connection, max_records=BATCH_RECORDS, now_s=monotonic())
            left -= batch_records
            if outcome is None:
                continue
            if outcome.problem:
                self._outage.goes_on(outcome.problem)
            else:
                self._outage.ends()
            if outcome.may_retry:
                return
