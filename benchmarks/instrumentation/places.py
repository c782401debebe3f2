"""Places where a request's context may be lost: `python -m benchmarks.instrumentation.places CASE`, in the case's
environment. Prints for each place whether the caller's trace (or ID) was still there.

A FastAPI application is driven through its ASGI interface, a Flask one through its WSGI interface, with a caller's
`traceparent` and `X-Request-ID`.
"""

import asyncio
import contextvars
import json
import os
import sys
import warnings
from collections.abc import Callable
from typing import Any

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
REQUEST_ID = "4f9c2d1e8b7a4c6f9d0e1a2b3c4d5e6f"
HEADERS = [
    (b"host", b"shop"),
    (b"traceparent", f"00-{TRACE_ID}-b7ad6b7169203331-01".encode()),
    (b"x-request-id", REQUEST_ID.encode()),
]


def traced() -> bool:
    """Whether the caller's trace is current, in a span that still records."""
    from opentelemetry import trace

    span = trace.get_current_span()
    return f"{span.get_span_context().trace_id:032x}" == TRACE_ID and span.is_recording()


def in_trace() -> bool:
    """Whether the caller's trace is current. In another process its span is a remote one, which does not record."""
    from opentelemetry import trace

    return f"{trace.get_current_span().get_span_context().trace_id:032x}" == TRACE_ID


def traced_by_ddtrace() -> bool:
    """The same for ddtrace."""
    from ddtrace.trace import tracer

    span = tracer.current_span()
    return span is not None and f"{span.trace_id:032x}" == TRACE_ID


def identified() -> bool:
    """Whether the caller's ID is current, for who has no trace."""
    from asgi_correlation_id import correlation_id

    return bool(correlation_id.get() == REQUEST_ID)


class Places:
    """What was found at each place."""

    def __init__(self, is_kept: Callable[[], bool]) -> None:
        self.is_kept = is_kept
        self.is_kept_over_there = in_trace if is_kept is traced else is_kept
        self.kept: dict[str, bool] = {}

    def note(self, place: str) -> None:
        """Look whether the context is here."""
        self.kept[place] = self.is_kept()


async def call(app: Any, path: str, kind: str = "http") -> dict[str, Any]:
    """One request in a context of its own; the response's first message."""
    scope: dict[str, Any] = {
        "type": kind,
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("shop", 80),
        "client": ("127.0.0.1", 1),
        "scheme": "http" if kind == "http" else "ws",
        "root_path": "",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": list(HEADERS),
        "state": {},
    }
    if kind == "http":
        scope["method"] = "GET"
    else:
        scope["subprotocols"] = []
    incoming = iter(
        [{"type": "http.request", "body": b"", "more_body": False}]
        if kind == "http"
        else [{"type": "websocket.connect"}, {"type": "websocket.receive", "text": "hello"}]
    )
    sent: list[dict[str, Any]] = []

    async def receive() -> Any:
        try:
            return next(incoming)
        except StopIteration:
            await asyncio.sleep(3_600)

    async def send(message: Any) -> None:
        sent.append(message)

    async def run() -> None:
        try:
            await app(scope, receive, send)
        except Exception as error:  # noqa: BLE001  (what servers do)
            if not sent:
                sent.append({"error": repr(error), "headers": []})

    await asyncio.get_running_loop().create_task(run(), context=contextvars.Context())
    return sent[0]


async def drive(app: Any, places: Places, paths: list[str]) -> None:
    for path in paths:
        await call(app, f"/{path}")
    failed = await call(app, "/boom")
    names = [name.lower() for name, _ in failed["headers"]]
    places.kept["X-Request-ID on an unhandled 500"] = b"x-request-id" in names
    await call(app, "/socket", "websocket")


def main() -> None:
    warnings.simplefilter("ignore")
    case, url = sys.argv[1:]
    from benchmarks.instrumentation import fastapi_places, flask_places
    from benchmarks.instrumentation.cases import CASES

    places = Places({"correlation": identified, "ddtrace": traced_by_ddtrace}.get(case, traced))
    peer = CASES[case][1](url, logs=False)
    if case == "opentelemetry":
        # Off by default, and the peer at its best.
        from opentelemetry.instrumentation.threading import ThreadingInstrumentor

        ThreadingInstrumentor().instrument()
    app = peer.wrap(fastapi_places.make_app(places), "fastapi")
    contextvars.Context().run(asyncio.run, drive(app, places, fastapi_places.PATHS))
    if case in flask_places.CASES:
        contextvars.Context().run(flask_places.drive, flask_places.instrumented(case), places)
    print(json.dumps(places.kept), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
