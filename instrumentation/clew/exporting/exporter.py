"""The export thread: takes what is queued, encodes it, sends it, and tries again when the collector is away.

All network, encoding and waiting happens here. Whoever calls `flush` or `shutdown` waits for this thread, for as long
as it said and no longer.
"""

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from queue import Empty, SimpleQueue
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as otel_context
from opentelemetry.context.context import Context

from clew.context import CURRENT
from clew.exporting.batch import LOGS, MAX_BODY_BYTES, TRACES, Kind
from clew.exporting.counters import SHUT_DOWN, Counters
from clew.exporting.encoding import encode_log, encode_resource, encode_span
from clew.exporting.endpoints import shown_endpoint, wants_gzip
from clew.exporting.health import HealthReport
from clew.exporting.outage import Outage
from clew.exporting.outcome import Outcome, Transport
from clew.exporting.queue import BoundedQueue
from clew.exporting.signal import RecordT, Signal
from clew.exporting.sizes import log_bytes, span_bytes
from clew.exporting.turns import SENDING_S, WORKING_S, Turns
from clew.freezing import Frozen
from clew.logs.record import LogRecord
from clew.runtime import discard
from clew.settings import Settings
from clew.spans import LightSpan

if TYPE_CHECKING:
    from clew.exporting.disk import DiskBuffer

THREAD_NAME: Final = "clew-export"
SET_ASIDE_S: Final = 0.5
"""Of the time that a process has for its end: to write what it could not send to the disk."""

_REPLAYED_AT_ONCE: Final = 16
_AFTER_FAILURE_S: Final = 0.2
_UNTRACED: Final = Context(
    {otel_context._SUPPRESS_INSTRUMENTATION_KEY: True, otel_context._SUPPRESS_HTTP_INSTRUMENTATION_KEY: True}
)
"""The export thread's context: whoever instruments HTTP or gRPC leaves its calls alone."""


class _Flush:
    """Somebody waits until everything has been sent."""

    __slots__ = ("done", "is_complete", "is_final")

    def __init__(self, *, is_final: bool) -> None:
        self.done = threading.Event()
        self.is_complete = False
        self.is_final = is_final


class Exporter:
    """Queues for spans and logs, and the daemon thread that empties them."""

    def __init__(self, settings: Settings, resource: Callable[[], Mapping[str, Frozen]]) -> None:
        """Does nothing before `begin`. Raises `ValueError` for settings that cannot work here."""
        self._settings = settings
        self._resource = resource
        self._gave_up = False
        self._claim: Callable[[], bool] | None = None
        self._transport = _make_transport(settings)
        self._disk = _make_disk_buffer(settings, self._count_drop)
        self._set_up()

    @property
    def is_held(self) -> bool:
        """Whether it only queues until `begin`, or `finish`."""
        return self._claim is not None

    def hold(self, claim: Callable[[], bool]) -> None:
        """Queue only, where a thread would be in the way of forks that Python is not told of.

        Whoever `claim` gives it to first, a child that begins or this process at its end, sends what was queued.
        """
        self._claim = claim

    def begin(self) -> None:
        """Start, or start anew in a forked child, which has the parent's queues and socket but not its thread."""
        inherited = self._inherited()
        self._transport.forget()
        if self._disk is not None:
            self._disk.forget()
            self._disk = _make_disk_buffer(self._settings, self._count_drop)
        self._set_up()
        for signal, records in zip(self._signals, inherited, strict=False):
            for record in records:
                signal.queue.put(record)
        self._start_thread()

    @property
    def put_span(self) -> Callable[[LightSpan], None]:
        """Who takes finished spans."""
        return self.spans.queue.put if self._settings.export_traces else discard

    @property
    def put_log(self) -> Callable[[LogRecord], None]:
        """Who takes finished logs."""
        return self.logs.queue.put if self._settings.export_logs else discard

    def counters(self) -> dict[str, Counters]:
        """What became of spans and of logs so far."""
        return {signal.kind.counted_as: signal.counters() for signal in self._signals}

    def flush(self, *, timeout_s: float) -> bool:
        """Wait until all that is queued now has been sent; False if that failed or took longer."""
        return self._flush(timeout_s=timeout_s, is_final=False)

    def finish(self, *, timeout_s: float) -> None:
        """Flush before the process ends, and write what cannot be sent to the disk buffer, if there is one.

        A second call does not wait again for a collector that did not answer.
        """
        end_s = monotonic() + timeout_s
        if self._takes_over():
            self._start_thread()
        kept_s = 0.0 if self._disk is None else min(SET_ASIDE_S, timeout_s / 3)
        self._gave_up = not self._flush(timeout_s=0.05 if self._gave_up else timeout_s - kept_s, is_final=True)
        if self._gave_up and self._disk is not None and any(counts.waiting for counts in self.counters().values()):
            self._set_aside_all(end_s)

    def shutdown(self, *, timeout_s: float) -> None:
        """Flush and end the thread; what is left is counted as dropped. Twice is the same as once."""
        end_s = monotonic() + timeout_s
        self.finish(timeout_s=timeout_s)
        self._is_stopping = True
        self._wakes.put(None)
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(max(0.0, end_s - monotonic()))
        for signal in self._signals:
            signal.abandon(SHUT_DOWN)

    def _set_up(self) -> None:
        # Written in C and safe to enter twice: a finalizer may log in the middle of a `put`.
        self._wakes: SimpleQueue[_Flush | None] = SimpleQueue()
        self._turns = Turns()
        self._is_stopping = False
        self._gave_up = False
        self._has_more_on_disk = False
        self._outage = Outage(shown_endpoint(self._settings))
        self._health = HealthReport()
        resource = encode_resource(self._resource())
        self.spans: Signal[LightSpan] = self._signal(TRACES, resource, encode_span, span_bytes)
        self.logs: Signal[LogRecord] = self._signal(LOGS, resource, encode_log, log_bytes)
        self._signals: tuple[Signal[Any], ...] = (self.spans, self.logs)
        self._thread: threading.Thread = threading.Thread(target=self._run, name=THREAD_NAME, daemon=True)

    def _signal(
        self, kind: Kind, resource: bytes, encode: Callable[[RecordT], bytes], size_of: Callable[[RecordT], int]
    ) -> Signal[RecordT]:
        settings, wakes, turns = self._settings, self._wakes, self._turns

        def wake() -> None:
            wakes.put(None)
            turns.want(0.0)

        # A batch has to fit into the queue, or it would never be full.
        batch_records = min(settings.batch_records, max(1, settings.max_queue_records // 2))
        queue = BoundedQueue(
            max_records=settings.max_queue_records,
            max_bytes=settings.max_queue_bytes,
            batch_records=batch_records,
            batch_bytes=min(MAX_BODY_BYTES, settings.max_queue_bytes // 2),
            size_of=size_of,
            wake=wake,
            turns=turns,
        )
        # gRPC compresses by itself.
        is_gzip = wants_gzip(settings) and settings.protocol != "grpc"
        signal = Signal(
            kind, resource=resource, encode=encode, queue=queue, batch_records=batch_records, is_gzip=is_gzip
        )
        signal.disk = self._disk
        return signal

    def _takes_over(self) -> bool:
        """Whether what was queued while this was held is this process's to send; it is held no longer."""
        claim, self._claim = self._claim, None
        return claim is not None and claim()

    def _inherited(self) -> list[list[Any]]:
        return [signal.queue.take(len(signal.queue)) for signal in self._signals] if self._takes_over() else []

    def _start_thread(self) -> None:
        if not self._settings.export_traces and not self._settings.export_logs:
            return
        try:
            self._thread.start()
        except RuntimeError as error:
            # No more threads in this container, or the interpreter is about to end.
            self._outage.stumbles(error)

    def _count_drop(self, kind: Kind, reason: str, records: int) -> None:
        for signal in self._signals:
            if signal.kind is kind:
                signal.drop(reason, records)

    def _flush(self, *, timeout_s: float, is_final: bool) -> bool:
        # A handler of the host that flushes may be called in the export thread itself.
        if not self._thread.is_alive() or threading.current_thread() is self._thread:
            return not any(signal.counters().waiting for signal in self._signals)
        flush = _Flush(is_final=is_final)
        for signal in self._signals:
            signal.is_awaited = True
        self._wakes.put(flush)
        return flush.done.wait(timeout_s) and flush.is_complete

    def _set_aside_all(self, until_s: float) -> None:
        """Write all that waits to the disk. On a thread of its own: a disk may hang as a collector may."""

        def write() -> None:
            for signal in self._signals:
                signal.set_aside_all(until_s)

        writing = threading.Thread(target=write, name=f"{THREAD_NAME}-disk", daemon=True)
        try:
            writing.start()
        except RuntimeError:
            return
        writing.join(max(0.0, until_s - monotonic()))

    def _run(self) -> None:
        CURRENT.set(_UNTRACED)
        everything_at_s = monotonic()
        while not self._is_stopping:
            try:
                everything_at_s = self._take_turn(everything_at_s)
            except BaseException as error:  # noqa: BLE001  (the thread must outlive whatever it meets)
                sleep(_AFTER_FAILURE_S)
                # A handler of the host's is what failed, perhaps.
                with suppress(BaseException):
                    self._outage.stumbles(error)
        self._transport.close()

    def _take_turn(self, everything_at_s: float) -> float:
        """Wait, export, answer who waits; when everything is to be sent at the latest next time."""
        flush = self._wait(everything_at_s)
        try:
            is_due = flush is not None or monotonic() >= everything_at_s
            for signal in self._signals:
                self._export(signal, is_due=is_due, is_urgent=flush is not None)
            self._report_health(is_final=flush is not None and flush.is_final)
            if is_due or self._has_more_on_disk:
                self._replay(is_urgent=flush is not None)
            if flush is not None:
                for signal in self._signals:
                    signal.is_awaited = False
                flush.is_complete = not any(signal.is_failing for signal in self._signals)
        finally:
            if flush is not None:
                flush.done.set()
        return monotonic() + self._settings.batch_delay_s if is_due else everything_at_s

    def _wait(self, until_s: float) -> _Flush | None:
        """Sleep until a batch is full, a batch may be tried again, or somebody waits for a flush."""
        if self._has_more_on_disk:
            until_s = 0.0
        until_s = min([until_s, *[signal.next_at_s() for signal in self._signals]])
        self._turns.want(until_s)
        try:
            return self._wakes.get(timeout=max(0.0, until_s - monotonic()))
        except Empty:
            return None

    def _export(self, signal: Signal[Any], *, is_due: bool, is_urgent: bool) -> None:
        # Only what waits now: chasing records as they come in would send them one by one.
        left = len(signal.queue)
        while not self._is_stopping:
            if signal.has_pending and not is_urgent and monotonic() < signal.retry_at_s:
                signal.set_aside()
                if signal.has_pending:
                    return
            if signal.has_pending:
                outcome = self._send_next(signal)
                self._note(signal, outcome)
                is_urgent = is_urgent and not outcome.may_retry
            elif left > 0 and (is_due or signal.queue.has_batch):
                left -= max(1, signal.fill(left, is_urgent=is_urgent))
            else:
                return

    def _send_next(self, signal: Signal[Any]) -> Outcome:
        self._turns.every_s = SENDING_S
        self._turns.want(monotonic() + SENDING_S)
        try:
            return signal.send_next(self._transport)
        finally:
            self._turns.every_s = WORKING_S

    def _report_health(self, *, is_final: bool) -> None:
        """Send the totals of what was dropped, if there is something new and somebody to send it to."""
        if self.logs.is_failing or not self._settings.export_logs:
            return
        record = self._health.due(self.counters(), is_final=is_final)
        if record is not None:
            self.logs.add(record)
            self.logs.fill(0, is_urgent=True)
            self._export(self.logs, is_due=False, is_urgent=True)

    def _replay(self, *, is_urgent: bool) -> None:
        """Send some of what is in the disk buffer: by this, too, it is found out whether the collector is back."""
        self._has_more_on_disk = False
        for signal in self._signals:
            for _ in range(_REPLAYED_AT_ONCE):
                may_ask = is_urgent or monotonic() >= signal.retry_at_s
                claim = None if self._disk is None or not may_ask else self._disk.claim_oldest(signal.kind)
                if claim is None:
                    break
                outcome = signal.send_claimed(claim, self._transport)
                self._note(signal, outcome)
                if outcome.may_retry:
                    break
                self._export(signal, is_due=False, is_urgent=False)
            else:
                self._has_more_on_disk = True

    def _note(self, signal: Signal[Any], outcome: Outcome) -> None:
        name = signal.kind.counted_as
        if outcome.may_retry:
            self._outage.goes_on(name, outcome.problem)
            return
        self._outage.ends(name)
        if (outcome.problem and not outcome.is_too_large) or outcome.rejected_records:
            self._outage.rejects(name, outcome.problem or outcome.message)
        elif outcome.message:
            self._outage.remarks(name, outcome.message)


def _make_transport(settings: Settings) -> Transport:
    """Where batches go. Imports what it needs only now: `import clew` must not take the time."""
    if settings.protocol != "grpc":
        from clew.exporting.http import HttpTransport

        return HttpTransport(settings)
    try:
        from clew.exporting.grpc import GrpcTransport
    except ImportError as error:
        raise ValueError(
            f"clew.configure: protocol must be http/protobuf where grpcio is not installed, got 'grpc': "
            f"pip install 'clew[otel]' ({error})"
        ) from None
    return GrpcTransport(settings)


def _make_disk_buffer(settings: Settings, drop: Callable[[Kind, str, int], None]) -> "DiskBuffer | None":
    if settings.disk_buffer is None:
        return None
    try:
        from clew.exporting.disk import DiskBuffer
    except ImportError:
        raise ValueError("clew.configure: disk_buffer needs a POSIX system: it locks files by flock") from None
    return DiskBuffer(settings.disk_buffer, max_bytes=settings.max_disk_buffer_bytes, drop=drop)
