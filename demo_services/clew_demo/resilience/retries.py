"""Asking again when an answer fails, for requests that are safe to repeat and as long as the budget lasts."""

from collections.abc import Callable

import httpx
import stamina
import structlog
from opentelemetry import trace

from clew_demo.resilience.breaker import CircuitOpen
from clew_demo.resilience.budget import RetryBudget

REPEATABLE_METHODS = frozenset({"GET", "HEAD"})
PASSING_STATUSES = frozenset({500, 502, 503, 504})
"""May be better the next time, or at the next instance."""

STORM_RETRIES = 5

log = structlog.get_logger()


class Retrying(httpx.AsyncBaseTransport):
    """Sends a request up to `attempts` times, with growing and random waits in between.

    A GET is repeated whatever went wrong; a request with an `Idempotency-Key` only when its connection broke: an answer
    that says no would not be another one the next time. It is the same request that is sent again, so clew gives its
    spans their `http.request.resend_count`.
    """

    def __init__(
        self,
        inner: httpx.AsyncBaseTransport,
        *,
        service: str,
        budget: RetryBudget,
        attempts: int = 3,
        first_wait_s: float = 0.05,
        is_storming: Callable[[], bool] = lambda: False,
    ) -> None:
        self._inner = inner
        self._service = service
        self._budget = budget
        self._attempts = attempts
        self._first_wait_s = first_wait_s
        self._is_storming = is_storming

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The first good answer, or the last one."""
        self._budget.note_request()
        if self._is_storming():
            return await self._storm(request)
        async for attempt in stamina.retry_context(
            on=_Again, attempts=self._attempts, wait_initial=self._first_wait_s, wait_jitter=self._first_wait_s
        ):
            with attempt:
                return await self._send(request, resends=attempt.num - 1, is_last=attempt.num == self._attempts)
        raise AssertionError("unreachable")

    async def aclose(self) -> None:
        """Close what is wrapped."""
        await self._inner.aclose()

    async def _send(self, request: httpx.Request, *, resends: int, is_last: bool) -> httpx.Response:
        """One attempt. Raises `_Again` if there is to be another one."""
        try:
            response = await self._inner.handle_async_request(request)
        except httpx.TransportError as error:
            if is_last or not _may_repeat_broken(request, error) or not self._may_spend():
                raise
            self._note_retry(resends + 1, reason=type(error).__name__)
            raise _Again from error
        if is_last or not _may_repeat_answered(request, response) or not self._may_spend():
            return response
        await response.aclose()
        self._note_retry(resends + 1, reason=f"status {response.status_code}")
        raise _Again

    async def _storm(self, request: httpx.Request) -> httpx.Response:
        """The fault `retry-storm`: five more after a failure, with no wait, no budget and no look at their answers."""
        response = await self._inner.handle_async_request(request)
        if not _may_repeat_answered(request, response):
            return response
        for resends in range(1, STORM_RETRIES + 1):
            await response.aclose()
            self._note_retry(resends, reason=f"status {response.status_code}")
            response = await self._inner.handle_async_request(request)
        return response

    def _may_spend(self) -> bool:
        if self._budget.take():
            return True
        trace.get_current_span().add_event("retry budget exhausted", {"service.peer.name": self._service})
        log.warning("retry budget exhausted", neighbour=self._service)
        return False

    def _note_retry(self, resends: int, *, reason: str) -> None:
        trace.get_current_span().add_event(
            "retry", {"http.request.resend_count": resends, "service.peer.name": self._service, "reason": reason}
        )
        log.info("asking a neighbour again", neighbour=self._service, resends=resends, reason=reason)


class _Again(Exception):
    """An attempt failed and another one is allowed."""


def _may_repeat_broken(request: httpx.Request, error: httpx.TransportError) -> bool:
    """Whether a request that got no answer may be sent again."""
    if isinstance(error, CircuitOpen):
        return False
    if request.method in REPEATABLE_METHODS:
        return True
    return "Idempotency-Key" in request.headers and not isinstance(error, httpx.TimeoutException)


def _may_repeat_answered(request: httpx.Request, response: httpx.Response) -> bool:
    return request.method in REPEATABLE_METHODS and response.status_code in PASSING_STATUSES
