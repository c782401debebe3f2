"""Tiny real services in this process, and the network that leads to them."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import httpx
from opentelemetry.sdk.trace import Span, TracerProvider
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


class Neighbour:
    """Answers every request with the next status, then with 200; `hold` keeps it from answering."""

    def __init__(self, name: str = "orders", *, statuses: Iterable[int] = ()) -> None:
        self.name = name
        self.asked = 0
        self.was_asked = asyncio.Event()
        self.statuses = iter(statuses)
        self.is_open = asyncio.Event()
        self.is_open.set()
        self.app = Starlette(routes=[Route("/{path:path}", self._answer, methods=["GET", "POST"])])

    def fail_always(self, status: int = 503) -> None:
        self.statuses = iter(lambda: status, None)

    def recover(self) -> None:
        self.statuses = iter(())

    def hold(self) -> None:
        self.is_open.clear()

    async def _answer(self, request: Request) -> JSONResponse:
        self.asked += 1
        self.was_asked.set()
        await self.is_open.wait()
        status = next(self.statuses, 200)
        return JSONResponse({"from": self.name, "code": "scripted", "detail": "."}, status_code=status)


class Network(httpx.AsyncBaseTransport):
    """The way to services by their host. One that is in `down` refuses connections."""

    def __init__(self, **apps: Starlette) -> None:
        self._ways = {host: httpx.ASGITransport(app) for host, app in apps.items()}
        self.down: set[str] = set()
        self.refused = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.host in self.down:
            self.refused += 1
            raise httpx.ConnectError("connection refused", request=request)
        return await self._ways[request.url.host].handle_async_request(request)


@contextmanager
def a_request_span() -> Iterator[Span]:
    """The span of a request, current for the length of the block."""
    with TracerProvider().get_tracer("tests").start_as_current_span("GET /") as span:
        assert isinstance(span, Span)
        yield span


def events(span: Span) -> list[str]:
    return [event.name for event in span.events]
