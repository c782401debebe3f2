"""Compartments: each kind of work has its own places, so that one that is slow does not sink the others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import structlog
from opentelemetry import trace

log = structlog.get_logger()


class BulkheadFull(Exception):
    """All places are taken, and those to wait in, too."""


class Bulkhead:
    """At most `places` at work at one time, and `queue` more that wait for at most `wait_s`."""

    def __init__(self, name: str, *, places: int, queue: int, wait_s: float) -> None:
        self.name = name
        self._limiter = anyio.CapacityLimiter(places)
        self._queue = queue
        self._wait_s = wait_s

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """A place for the length of the block. Raises `BulkheadFull`."""
        worker = object()
        await self._take(worker)
        try:
            yield
        finally:
            self._limiter.release_on_behalf_of(worker)

    async def _take(self, worker: object) -> None:
        try:
            self._limiter.acquire_on_behalf_of_nowait(worker)
            return
        except anyio.WouldBlock:
            if self._limiter.statistics().tasks_waiting >= self._queue:
                raise self._full() from None
        trace.get_current_span().add_event("waiting for a place", {"bulkhead.name": self.name})
        try:
            async with asyncio.timeout(self._wait_s):
                await self._limiter.acquire_on_behalf_of(worker)
        except TimeoutError:
            raise self._full() from None

    def _full(self) -> BulkheadFull:
        trace.get_current_span().set_attributes({"bulkhead.name": self.name, "bulkhead.full": True})
        log.warning("bulkhead full", bulkhead=self.name)
        return BulkheadFull(self.name)
