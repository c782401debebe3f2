"""Failures as the caller sees them: RFC 9457 problem details that name the request."""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

import clew

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):
    """A failure that has a status and a code; services hand it on unchanged, so that the cause arrives."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail

    @property
    def is_refusal(self) -> bool:
        """Whether the request was at fault (4xx), and not a service."""
        return self.status < 500


def install(app: FastAPI) -> None:
    """Let an app answer every failure with a problem that carries the correlation ID."""

    @app.exception_handler(Problem)
    async def problem(request: Request, error: Problem) -> JSONResponse:
        return _answer(error.status, error.code, error.detail)

    @app.exception_handler(HTTPException)
    async def http_exception(request: Request, error: HTTPException) -> JSONResponse:
        return _answer(error.status_code, "http_error", str(error.detail))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        # Without the input that was refused: it may hold a card number.
        errors = [{"field": ".".join(map(str, e["loc"])), "error": e["msg"]} for e in error.errors()]
        return _answer(422, "invalid_request", "The request is not valid.", errors=errors)

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        return _answer(500, "internal_error", "Something is broken here; we have been told.")


def body_of(status: int, code: str, detail: str, **more: Any) -> dict[str, Any]:
    """A problem as its answer says it, in any framework."""
    return {"status": status, "code": code, "detail": detail, "correlation_id": clew.correlation_id(), **more}


def _answer(status: int, code: str, detail: str, **more: Any) -> JSONResponse:
    return JSONResponse(body_of(status, code, detail, **more), status_code=status, media_type=MEDIA_TYPE)
