"""A limit for the time that one try may take, however its bytes trickle in."""

import asyncio

import httpx


class TimeLimited(httpx.AsyncBaseTransport):
    """Gives a request up after `limit_s`, as httpx does when nothing arrives: with a `ReadTimeout`."""

    def __init__(self, inner: httpx.AsyncBaseTransport, *, limit_s: float) -> None:
        self._inner = inner
        self._limit_s = limit_s

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The answer, if it begins in time."""
        try:
            async with asyncio.timeout(self._limit_s):
                return await self._inner.handle_async_request(request)
        except TimeoutError as error:
            raise httpx.ReadTimeout(f"no answer within {self._limit_s} s", request=request) from error

    async def aclose(self) -> None:
        """Close what is wrapped."""
        await self._inner.aclose()
