"""Applications to follow and ways to ask them, shared by the tests of the ASGI middleware."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

import clew
from tests.instrumentation.fake_collector import FakeCollector

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{CALLER}-01"


async def get(app: Any, path: str = "/", **options: Any) -> httpx.Response:
    raises = options.pop("raises", True)
    method = options.pop("method", "GET")
    transport = httpx.ASGITransport(app, raise_app_exceptions=raises)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop.example:8000") as client:
        return await client.request(method, path, **options)


def ids_app() -> Starlette:
    async def ids(request: Request) -> JSONResponse:
        return JSONResponse({"correlation_id": clew.correlation_id(), "trace_id": clew.trace_id()})

    return clew.instrument(Starlette(routes=[Route("/{anything:path}", ids)]))


def exported_span(collector: FakeCollector) -> Span:
    assert clew.flush()
    (span,) = collector.spans
    return span


@pytest.mark.usefixtures("exported")
def http_scope() -> dict[str, Any]:
    return {"type": "http", "method": "GET", "path": "/", "scheme": "http", "headers": [], "query_string": b""}


async def never() -> Any:
    await asyncio.Event().wait()


async def ignore(message: Any) -> None:
    pass


async def anext_of(stream: AsyncIterator[str]) -> str:
    return await anext(stream)


async def close(stream: Any) -> None:
    await stream.aclose()
