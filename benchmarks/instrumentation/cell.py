"""One cell of a table: `python -m benchmarks.instrumentation.cell WHAT CASE KIND SINK_URL`, in the case's environment.

WHAT is `request` (through the ASGI interface), `line` (one log line inside of a span) or `call` (one httpx call inside
of a span). Prints microseconds for one, all that is exported for it included.
"""

import asyncio
import json
import os
import sys
import warnings
from typing import Any

from benchmarks.instrumentation import host
from benchmarks.instrumentation.cases import CASES

TIMES = {"request": 4_000, "line": 8_000, "call": 3_000}


def main() -> None:
    warnings.simplefilter("ignore")
    what, case, kind, url = sys.argv[1:]
    took_us = {"request": measure_request, "line": measure_line, "call": measure_call}[what](case, kind, url)
    print(json.dumps({"us": took_us}), flush=True)
    os._exit(0)


def measure_request(case: str, kind: str, url: str) -> float:
    peer = CASES[case][1](url, logs=False)
    app = peer.wrap(host.make_app(kind), kind)

    async def one() -> None:
        assert await host.request(app, "/items/plain") == 200

    return host.run(one, peer.flush, times=TIMES["request"])


def measure_line(case: str, _kind: str, url: str) -> float:
    peer = CASES[case][1](url, logs=True)

    async def one() -> None:
        peer.log("order accepted")

    async def drive() -> float:
        with _span(case):
            return await host.measure(one, peer.flush, times=TIMES["line"])

    return asyncio.run(drive())


def measure_call(case: str, _kind: str, url: str) -> float:
    peer = CASES[case][1](url, logs=False)
    client = host.canned_client()

    async def one() -> None:
        await client.get("http://inventory.example.internal/stock/42")

    async def drive() -> float:
        with _span(case):
            return await host.measure(one, peer.flush, times=TIMES["call"])

    return asyncio.run(drive())


def _span(case: str) -> Any:
    """A span that is current, by the peer's own means."""
    if case.startswith("bare") or case == "correlation":
        from contextlib import nullcontext

        return nullcontext()
    if case == "ddtrace":
        from ddtrace.trace import tracer

        return tracer.trace("request")
    if case == "logfire":
        import logfire

        return logfire.span("request")
    from opentelemetry import trace

    return trace.get_tracer("bench").start_as_current_span("request")


if __name__ == "__main__":
    main()
