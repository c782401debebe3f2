"""The host that is instrumented: an application of Starlette or FastAPI, its loggers, and its httpx client.

Runs in a peer's environment: imports nothing but the host's packages.
"""

import asyncio
import gc
import logging
import os
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

HEADERS = [
    (b"host", b"shop.example.internal:8000"),
    (b"user-agent", b"wrk/4.1.0 (bench; linux x86_64)"),
    (b"accept", b"application/json"),
    (b"accept-encoding", b"gzip, deflate"),
    (b"connection", b"keep-alive"),
    (b"x-forwarded-for", b"10.0.0.7"),
]
FIELDS = {"order_id": 42, "user": "u-1837", "amount": 12.5}

Log = Callable[[str], object]
Flush = Callable[[], object]


def no_log(_message: str) -> None:
    """For applications that are measured without log lines."""


def stdlib_json_log(format: str = "%(asctime)s %(levelname)s %(name)s %(message)s") -> Log:
    """`logging` with python-json-logger, into nothing."""
    from pythonjsonlogger.json import JsonFormatter

    logger = logging.getLogger("shop.orders")
    handler = logging.StreamHandler(open(os.devnull, "w"))  # noqa: SIM115  (open as long as the process)
    handler.setFormatter(JsonFormatter(format))
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    root.addHandler(handler)
    return lambda message: logger.info(message, extra=FIELDS)


def structlog_json_log(*processors: Any) -> Log:
    """structlog with orjson, into nothing; `processors` come before its own."""
    import orjson
    import structlog

    structlog.configure(
        cache_logger_on_first_use=True,
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            *processors,
            structlog.processors.format_exc_info,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(serializer=orjson.dumps),
        ],
        logger_factory=structlog.BytesLoggerFactory(file=open(os.devnull, "wb")),  # noqa: SIM115
    )
    logger = structlog.get_logger()
    return lambda message: logger.info(message, **FIELDS)


def canned_client() -> Any:
    """A real httpx client and transport, so that every peer's patch applies; only the network is not there."""
    import httpcore
    import httpx

    class Pool:
        async def handle_async_request(self, _request: Any) -> Any:
            headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
            return httpcore.Response(200, headers=headers, content=b"{}")

        async def aclose(self) -> None:
            pass

    client: Any = httpx.AsyncClient()
    client._transport._pool = Pool()
    client._mounts = {}
    return client


def make_app(kind: str, log: Log = no_log) -> Any:
    """An application whose `/items/plain` answers, and whose `/items/log` writes one line before."""

    async def plain() -> dict[str, Any]:
        return {"id": 42, "stock": 7}

    async def one_line() -> dict[str, Any]:
        log("order accepted")
        return {"id": 42, "stock": 7}

    if kind == "fastapi":
        from fastapi import FastAPI

        app = FastAPI()
        app.get("/items/plain")(plain)
        app.get("/items/log")(one_line)
        return app
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    def endpoint(answer: Callable[[], Awaitable[Any]]) -> Any:
        async def serve(_request: Request) -> JSONResponse:
            return JSONResponse(await answer())

        return serve

    return Starlette(routes=[Route("/items/plain", endpoint(plain)), Route("/items/log", endpoint(one_line))])


async def request(app: Any, path: str) -> int:
    """One request through the ASGI interface; its status."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 51234),
        "scheme": "http",
        "method": "GET",
        "root_path": "",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": list(HEADERS),
        "state": {},
    }
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return int(sent[0]["status"])


async def measure(one: Callable[[], Awaitable[object]], flush: Flush, *, times: int) -> float:
    """Microseconds for one, what it leaves to be exported included: the median of some repetitions."""
    for _ in range(times // 8):
        await one()
    flush()
    return statistics.median([await _repetition(one, flush, times) for _ in range(3)])


async def _repetition(one: Callable[[], Awaitable[object]], flush: Flush, times: int) -> float:
    gc.collect()
    start_s = time.perf_counter()
    for _ in range(times):
        await one()
    flush()
    return (time.perf_counter() - start_s) / times * 1e6


def run(one: Callable[[], Awaitable[object]], flush: Flush, *, times: int) -> float:
    """`measure` in an event loop of its own."""
    return asyncio.run(measure(one, flush, times=times))
