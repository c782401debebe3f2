"""Many lines in one payload, for senders that do not wait for an answer."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, Literal, Self

import structlog

from clew_collector.errors import ClewError, SpoolFull
from clew_collector.payload import OwnDigests, Payload, payload_of
from clew_collector.wire.syslog.otlp import LogsRequest, ReceivedLine

ENOUGH_RECORDS: Final = 1_000
MAX_WAIT_S: Final = 0.05
# More than enough go along when the last delivery took its time: as many disk syncs a second as the disk can do.
_MAX_RECORDS: Final = 10_000
_MAX_BYTES: Final = 4 << 20
_SLICE: Final = 100
"""Lines decoded in one go, about 2 ms: other receivers share the event loop."""
_LINE_OVERHEAD_BYTES: Final = 300
_RETRY_S: Final = 0.5

log = structlog.get_logger(__name__)

Deliver = Callable[[Payload], Awaitable[object]]
"""Returns when the payload is on disk, or raises `SpoolFull` or `StoreUnavailable`."""

Drop = Callable[[str, int], None]
"""Counts lines that are dropped, by reason."""

WhenFull = Literal["drop", "wait"]
"""What becomes of lines when there is no room: dropped and counted, or kept, and more of them put off."""


class Gathering:
    """Gathers lines, until there are 1,000 or for 50 ms, into OTLP logs requests and delivers one after the other.

    About `max_bytes` wait at most. Beyond that, and while the spool is full, "drop" drops lines. "wait" drops none
    and calls `on_crowded` with true, and with false once half has gone: whoever calls `add` pauses its senders.
    Equal lines are all kept: each payload has a digest of its own. Use as an async context manager; leaving it
    delivers what is left, or drops it if the spool takes nothing.
    """

    def __init__(
        self,
        deliver: Deliver,
        *,
        new_request: Callable[[], LogsRequest],
        drop: Drop,
        when_full: WhenFull,
        on_crowded: Callable[[bool], None] = lambda _: None,
        max_bytes: int = 32 << 20,
    ) -> None:
        self._deliver = deliver
        self._new_request = new_request
        self._drop = drop
        self._when_full = when_full
        self._on_crowded = on_crowded
        self._max_bytes = max_bytes
        self._lines: deque[ReceivedLine] = deque()
        self._bytes = 0
        self._is_crowded = False
        self._closing = False
        self._wake = asyncio.Event()
        self._enough = asyncio.Event()
        self._delivering: asyncio.Task[None] | None = None
        self._digests = OwnDigests()

    async def __aenter__(self) -> Self:
        self._delivering = asyncio.create_task(self._deliver_all(), name="gathering")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing = True
        self._wake.set()
        self._enough.set()
        if self._delivering is not None:
            await self._delivering

    def add(self, line: ReceivedLine) -> None:
        """Take a line. Does not block."""
        if self._bytes >= self._max_bytes:
            if self._when_full == "drop":
                self._drop("too many lines wait", 1)
                return
            if not self._is_crowded:
                self._is_crowded = True
                self._on_crowded(True)
        self._lines.append(line)
        self._bytes += len(line.data) + _LINE_OVERHEAD_BYTES
        self._wake.set()
        if len(self._lines) >= ENOUGH_RECORDS:
            self._enough.set()

    async def _deliver_all(self) -> None:
        while self._lines or not self._closing:
            await self._wake.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(MAX_WAIT_S):
                    await self._enough.wait()
            if not self._closing:
                self._wake.clear()
                self._enough.clear()
            while self._lines:
                await self._deliver_some()

    async def _deliver_some(self) -> None:
        taken = size = 0
        try:
            request = self._new_request()
            while self._lines and taken < _MAX_RECORDS and size < _MAX_BYTES:
                lines = [self._lines.popleft() for _ in range(min(_SLICE, len(self._lines)))]
                taken += len(lines)
                size += sum(len(line.data) + _LINE_OVERHEAD_BYTES for line in lines)
                request.add(lines)
                await asyncio.sleep(0)
            await self._keep(payload_of("logs", request.message, digest=self._digests.next()))
        except Exception:
            log.exception("lines dropped", lines=taken)
            self._drop("error", taken)
        self._bytes -= size
        if self._is_crowded and self._bytes <= self._max_bytes // 2:
            self._is_crowded = False
            self._on_crowded(False)

    async def _keep(self, payload: Payload) -> None:
        """Deliver until it succeeds, or drop: at once, or when the collector stops."""
        while True:
            try:
                await self._deliver(payload)
                return
            except ClewError as error:
                if self._when_full == "drop" or self._closing:
                    self._drop("spool full" if isinstance(error, SpoolFull) else "disk", payload.records)
                    return
            await asyncio.sleep(_RETRY_S)
