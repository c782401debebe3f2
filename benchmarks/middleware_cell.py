"""One cell of the middleware benchmark: `python -m benchmarks.middleware_cell CASE KIND SINK_URL`."""

import asyncio
import gc
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

REQUESTS = 8000
REPETITIONS = 3
WARM_UP = 1000
# Nothing may be dropped: every span that a request makes is exported within the figure.
QUEUE = 1 << 20
HEADERS = [
    (b"host", b"shop.example.internal:8000"),
    (b"user-agent", b"wrk/4.1.0 (bench; linux x86_64)"),
    (b"accept", b"application/json"),
    (b"accept-encoding", b"gzip, deflate"),
    (b"connection", b"keep-alive"),
    (b"x-forwarded-for", b"10.0.0.7"),
]

Flush = Callable[[], object]


def make_app(kind: str) -> Any:
    """An application with one JSON route."""
    if kind == "fastapi":
        from fastapi import FastAPI

        app = FastAPI()

        @app.get("/items/{id}")
        async def item(id: int) -> dict[str, int]:
            return {"id": id, "stock": 7}

        return app
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def plain(request: Request) -> JSONResponse:
        return JSONResponse({"id": int(request.path_params["id"]), "stock": 7})

    return Starlette(routes=[Route("/items/{id}", plain)])


def bare(app: Any, _kind: str, _url: str) -> tuple[Any, Flush]:
    return app, lambda: None


def with_clew(app: Any, _kind: str, url: str) -> tuple[Any, Flush]:
    import clew
    from clew.exporting import counters

    def flush() -> None:
        assert clew.flush(60)
        assert sum(counters()["spans"].dropped.values()) == 0

    clew.configure(service="shop", endpoint=url)
    return clew.instrument(app), flush


def with_opentelemetry(app: Any, kind: str, url: str) -> tuple[Any, Flush]:
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": "shop"}))
    exporter = OTLPSpanExporter(endpoint=f"{url}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=QUEUE, max_export_batch_size=512))
    trace.set_tracer_provider(provider)
    if kind == "fastapi":
        from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

        FastAPIInstrumentor.instrument_app(app)
    else:
        from opentelemetry.instrumentation.starlette import StarletteInstrumentor

        StarletteInstrumentor.instrument_app(app)
    return app, lambda: provider.force_flush(60_000)


CASES = {"bare": bare, "clew": with_clew, "opentelemetry": with_opentelemetry}


async def request(app: Any) -> int:
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
        "path": "/items/42",
        "raw_path": b"/items/42",
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


async def drive(app: Any, flush: Flush) -> float:
    """Microseconds a request, the export of all of them included: the median of some repetitions."""
    for _ in range(WARM_UP):
        assert await request(app) == 200
    flush()
    return statistics.median([await repetition(app, flush) for _ in range(REPETITIONS)])


async def repetition(app: Any, flush: Flush) -> float:
    gc.collect()
    start_s = time.perf_counter()
    for _ in range(REQUESTS):
        await request(app)
    flush()
    return (time.perf_counter() - start_s) / REQUESTS * 1e6


def main() -> None:
    case, kind, url = sys.argv[1:]
    app, flush = CASES[case](make_app(kind), kind, url)
    print(json.dumps({"us_per_request": asyncio.run(drive(app, flush))}), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
