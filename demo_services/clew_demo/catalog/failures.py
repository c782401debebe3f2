"""Failures as Litestar answers them: the same problem details as everywhere in the shop (`clew_demo.problems`)."""

from typing import Any

from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import ExceptionHandlersMap

from clew_demo.problems import MEDIA_TYPE, Problem, body_of


def problem(request: Request[Any, Any, Any], error: Problem) -> Response[dict[str, Any]]:
    """A failure that one of us has named."""
    return _answer(error.status, error.code, error.detail)


def http_exception(request: Request[Any, Any, Any], error: HTTPException) -> Response[dict[str, Any]]:
    """A failure that Litestar has named: no such path, not this method."""
    return _answer(error.status_code, "http_error", error.detail)


def invalid(request: Request[Any, Any, Any], error: ValidationException) -> Response[dict[str, Any]]:
    """A request that is not as its route says."""
    return _answer(422, "invalid_request", "The request is not valid.")


def unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[dict[str, Any]]:
    """What nobody has thought of."""
    return _answer(500, "internal_error", "Something is broken here; we have been told.")


HANDLERS: ExceptionHandlersMap = {
    Problem: problem,
    HTTPException: http_exception,
    ValidationException: invalid,
    Exception: unexpected,
}
"""By what is raised; the nearest class wins."""


def _answer(status: int, code: str, detail: str) -> Response[dict[str, Any]]:
    return Response(body_of(status, code, detail), status_code=status, media_type=MEDIA_TYPE)
