"""Asking the dashboard in process, over ASGI."""

import asyncio
from collections.abc import Mapping

import httpx
from fastapi import FastAPI


class Asking:
    """Sends GET requests as a browser would, and follows no redirects."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    def get(self, address: str, *, headers: Mapping[str, str] | None = None) -> httpx.Response:
        return asyncio.run(self._get(address, headers or {"accept": "text/html"}))

    async def _get(self, address: str, headers: Mapping[str, str]) -> httpx.Response:
        transport = httpx.ASGITransport(app=self._app)
        async with httpx.AsyncClient(transport=transport, base_url="http://clew.test", headers=headers) as client:
            return await client.get(address)
