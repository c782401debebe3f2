"""A receiver of HTTP that is asked in this process."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx

from clew_collector.errors import ClewError
from clew_collector.payload import Payload
from clew_collector.spool import Counter


class Intake:
    """A receiver with what it handed on and counted."""

    def __init__(self, receiver: Callable[..., Any], *, error: ClewError | None, max_body_bytes: int) -> None:
        self.payloads: list[Payload] = []
        self.counts: dict[Counter, int] = {}
        self._error = error
        self.app = receiver(self._deliver, count=self._count, max_body_bytes=max_body_bytes)

    async def _deliver(self, payload: Payload) -> bool:
        if self._error is not None:
            raise self._error
        is_new = all(payload.digest != each.digest for each in self.payloads)
        self.payloads.append(payload)
        return is_new

    def _count(self, counter: Counter, count: int) -> None:
        self.counts[counter] = self.counts.get(counter, 0) + count

    def send(self, path: str, content: bytes, headers: dict[str, str], *, method: str = "POST") -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return await client.request(method, path, content=content, headers=headers)

        return asyncio.run(send())
