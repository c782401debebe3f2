"""One disk sync for all payloads that came while the last one ran."""

import asyncio
from collections import Counter as Tally
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final, Self

import structlog

from clew_collector.errors import ClewError, StoreUnavailable
from clew_collector.keys import KEY
from clew_collector.payload import Payload
from clew_collector.spool import Counter, Series, Spool

_COUNTERS_INTERVAL_S: Final = 1.0

log = structlog.get_logger(__name__)


class GroupCommit:
    """Appends payloads to a spool from an event loop, many in a transaction, in a thread of its own.

    What waits is bounded by the connections that senders hold: each waits for its own answer. Use as an async
    context manager; leaving it writes what is left.
    """

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spool")
        self._waiting: list[tuple[Payload, str, asyncio.Future[bool]]] = []
        self._counts: Tally[Series] = Tally()
        self._wake = asyncio.Event()
        self._closing = False
        self._committing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._committing = asyncio.create_task(self._commit_groups(), name="group-commit")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing = True
        self._wake.set()
        if self._committing is not None:
            await self._committing
        self._thread.shutdown()

    def source(self, name: str) -> "Source":
        """The side of one receiver."""
        return Source(self, name)

    async def deliver(self, payload: Payload, *, source: str = "") -> bool:
        """Wait until the payload is on disk; false if it was there already.

        Raises what `Spool.append` raises; the payload is not kept then.
        """
        written: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((payload, source, written))
        self._wake.set()
        return await written

    def count(self, series: Series, count: int) -> None:
        """Add to a durable counter, within a second."""
        self._counts[series] += count

    async def _commit_groups(self) -> None:
        while not self._closing:
            with suppress(TimeoutError):
                async with asyncio.timeout(_COUNTERS_INTERVAL_S):
                    await self._wake.wait()
            self._wake.clear()
            await self._commit_group()
        while self._waiting or self._counts:
            if not await self._commit_group():
                return

    async def _commit_group(self) -> bool:
        """Whether all that waited is on disk."""
        group, self._waiting = self._waiting, []
        counts, self._counts = self._counts, Tally()
        # A sender that went away is done with: its payload is kept all the same.
        try:
            new = await self._append([payload for payload, _, _ in group], [source for _, source, _ in group], counts)
        except ClewError as error:
            self._counts.update(counts)
            for *_, written in group:
                if not written.done():
                    written.set_exception(error)
            return False
        for (*_, written), is_new in zip(group, new, strict=True):
            if not written.done():
                written.set_result(is_new)
        return True

    async def _append(self, payloads: list[Payload], sources: list[str], counts: Tally[Series]) -> list[bool]:
        if not payloads and not counts:
            return []
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(
                self._thread, lambda: self._spool.append(payloads, sources=sources, counts=counts)
            )
        except ClewError:
            raise
        except Exception as error:
            log.exception("the spool failed")
            raise StoreUnavailable(f"the spool failed: {error!r}") from error


class Source:
    """What one receiver delivers and counts, under its name."""

    def __init__(self, commits: GroupCommit, name: str) -> None:
        self.name = name
        self._commits = commits

    async def deliver(self, payload: Payload) -> bool:
        """See `GroupCommit.deliver`; for the key of the sender, if there is one. Raises `RateLimited`, too."""
        if (key := KEY.get()) is not None:
            key.spend(payload.records)
        return await self._commits.deliver(payload, source=self.name)

    def count(self, counter: Counter, count: int) -> None:
        """Add to a durable counter of this receiver, within a second."""
        outcome, signal, reason = counter
        self._commits.count(Series(outcome, signal, reason, self.name), count)
