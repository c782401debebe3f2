"""Follows log files: what is written to them becomes OTLP payloads, each line once, whatever happens meanwhile.

How far each file has been read is saved in the transaction that saves its lines. Files are looked at four times a
second, with `stat`: that works the same on every file system, over NFS and in containers, cannot lose what a queue of
events loses when it overflows, and costs a thousand files next to nothing. They are read, and their lines decoded, in
a thread, so that other receivers are not held.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final

import structlog

from clew_collector.errors import ClewError
from clew_collector.payload import NO_CHECKPOINTS, Payload
from clew_collector.receivers.tail.config import TailConfig
from clew_collector.receivers.tail.followed import Pace
from clew_collector.receivers.tail.follower import Follower
from clew_collector.receivers.tail.reading import Reader
from clew_collector.spool import Counter

_RETRY_S: Final = 0.5

log = structlog.get_logger(__name__)

Deliver = Callable[[Payload], Awaitable[object]]
"""Returns when the payload is on disk, or raises `SpoolFull` or `StoreUnavailable`."""

Count = Callable[[Counter, int], None]
"""Adds to a counter; does not block."""


class TailReceiver:
    """Follows the files of all items and hands their lines to `deliver`, one payload after the other.

    `checkpoints` are those that were saved under keys that begin with `tail:`. While the spool takes nothing it waits
    and reads no further: what is not read stays in the files.
    """

    def __init__(
        self,
        configs: Sequence[TailConfig],
        *,
        deliver: Deliver,
        count: Count,
        checkpoints: Mapping[str, str] = NO_CHECKPOINTS,
        pace: Pace | None = None,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self._deliver = deliver
        self._count = count
        self._pace = pace or Pace()
        self._refusals: list[str] = []
        refuse = self._refusals.append
        self._follower = Follower(configs, checkpoints, pace=self._pace, refuse=refuse, wall_s=wall_s)

    async def run(self, stopping: asyncio.Event) -> None:
        """Follow until stopped; what was read but not delivered by then is read again at the next start."""
        reader = Reader(self._follower, pace=self._pace)
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, thread_name_prefix="tail") as thread:
            try:
                while not stopping.is_set():
                    batch = await loop.run_in_executor(thread, reader.next_batch, time.monotonic())
                    self._count_refusals()
                    if batch.payload is not None and not await self._keep(batch.payload, stopping):
                        return
                    if batch.cut_lines:
                        self._count(("dropped", "logs", "rest of a line over the limit"), batch.cut_lines)
                    if not batch.is_more:
                        await _is_set_within(stopping, self._pace.poll_s)
            finally:
                thread.submit(self._follower.close)

    async def _keep(self, payload: Payload, stopping: asyncio.Event) -> bool:
        """Deliver until it succeeds; false if it has to stop before that."""
        is_first = True
        while True:
            try:
                await self._deliver(payload)
                return True
            except ClewError as error:
                if is_first:
                    log.warning("files are not read from for now", error=str(error))
                is_first = False
            if await _is_set_within(stopping, _RETRY_S):
                return False

    def _count_refusals(self) -> None:
        while self._refusals:
            self._count(("refused", "logs", self._refusals.pop()), 1)


async def _is_set_within(stopping: asyncio.Event, wait_s: float) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout(wait_s):
            await stopping.wait()
    return stopping.is_set()
