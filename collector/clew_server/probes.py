"""Addresses for programs that watch the collector: `/metrics`, `/healthz` and `/readyz`."""

from collections.abc import Callable
from typing import Final

from fastapi import APIRouter
from fastapi import Request as HttpRequest
from starlette.responses import PlainTextResponse, Response

from clew_collector.errors import ClewError
from clew_server.metrics import exposition
from clew_server.snapshot import Snapshot

PROBED_PATHS: Final = ("/metrics", "/healthz", "/readyz")

MAX_AGE_S: Final = 300.0
"""A payload that waits for longer says that the store does not keep up."""

FULL_SHARE: Final = 0.95
"""A spool counts as full a little before its bound: the next payload may be large."""


def router(take: Callable[[], Snapshot]) -> APIRouter:
    """The three routes; `take` is asked anew for each scrape and each question about readiness."""
    routes = APIRouter()

    @routes.get("/metrics")
    def show_metrics(http: HttpRequest) -> Response:
        text, content_type = exposition(take, accept=http.headers.get("accept", ""))
        return Response(text, media_type=content_type)

    @routes.get("/healthz")
    def is_alive() -> Response:
        return PlainTextResponse("ok\n")

    @routes.get("/readyz")
    def is_ready() -> Response:
        reasons = reasons_against(take)
        return PlainTextResponse("".join(f"{reason}\n" for reason in reasons) or "ready\n", 503 if reasons else 200)

    return routes


def reasons_against(take: Callable[[], Snapshot]) -> list[str]:
    """Why this collector should not be sent anything now, a line each; empty if it is ready."""
    try:
        snapshot = take()
    except ClewError as error:
        return [f"the store cannot be asked: {_one_line(error)}"]
    reasons = []
    used, bound = snapshot.spool.bytes, snapshot.max_spool_bytes
    if used >= FULL_SHARE * bound:
        reasons.append(f"the spool is full: {used} of {bound} bytes")
    reasons += [
        f"{reader.name} is not writable: {_one_line(reader.outage)}" for reader in snapshot.readers if reader.outage
    ]
    if (age_s := snapshot.age_s(snapshot.spool.oldest_ns) or 0.0) > MAX_AGE_S:
        reasons.append(f"the oldest payload has waited for {age_s:.0f} s, more than {MAX_AGE_S:.0f}")
    return reasons


def _one_line(text: object) -> str:
    return " ".join(str(text).split())
