"""Problems that say in a header what the client may do about them."""

import math
from collections.abc import Mapping

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

import clew
from clew_demo import problems
from clew_demo.problems import Problem
from clew_demo.resilience.bulkhead import BulkheadFull

BUSY_RETRY_AFTER_S = 1


class Refusal(Problem):
    """A problem with headers, answered by the gateway itself."""

    def __init__(self, status: int, code: str, detail: str, *, headers: Mapping[str, str]) -> None:
        super().__init__(status, code, detail)
        self.headers = headers


def unauthorized(detail: str, *, error: str | None = None) -> Refusal:
    """No token, or one that does not count: `error` is the code of RFC 6750, section 3.1."""
    challenge = 'Bearer realm="shop"' + (f', error="{error}"' if error else "")
    return Refusal(401, error or "token_required", detail, headers={"WWW-Authenticate": challenge})


def too_many_requests(wait_s: float) -> Refusal:
    """A client that asked more often than it may."""
    detail = f"You ask too often; wait {wait_s:.1f} s."
    return Refusal(429, "rate_limited", detail, headers=_retry_after(wait_s))


def busy(compartment: str) -> Refusal:
    """A compartment that is full."""
    detail = f"Too many others are in {compartment}; come back in a moment."
    return Refusal(503, "gateway_busy", detail, headers=_retry_after(BUSY_RETRY_AFTER_S))


def install(app: FastAPI) -> None:
    """Let an app answer refusals with their headers."""

    @app.exception_handler(Refusal)
    async def refusal(request: Request, error: Refusal) -> JSONResponse:
        return _answer(error)

    @app.exception_handler(BulkheadFull)
    async def bulkhead_full(request: Request, error: BulkheadFull) -> JSONResponse:
        return _answer(busy(str(error)))


def _answer(refusal: Refusal) -> JSONResponse:
    body = {
        "status": refusal.status,
        "code": refusal.code,
        "detail": refusal.detail,
        "correlation_id": clew.correlation_id(),
    }
    headers = dict(refusal.headers)
    return JSONResponse(body, status_code=refusal.status, headers=headers, media_type=problems.MEDIA_TYPE)


def _retry_after(wait_s: float) -> dict[str, str]:
    return {"Retry-After": str(max(1, math.ceil(wait_s)))}
