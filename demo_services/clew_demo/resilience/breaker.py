"""A circuit breaker around a neighbour: while it keeps failing it is left alone, and its callers know at once."""

import httpx
import structlog
from purgatory import AsyncCircuitBreakerFactory
from purgatory.domain.model import OpenedState
from purgatory.service._async.circuitbreaker import AsyncCircuitBreaker

from clew_demo.resilience.circuit_notes import note_change, note_state

log = structlog.get_logger()


class CircuitOpen(httpx.TransportError):
    """Nothing was sent: the neighbour failed too often a moment ago."""


class Breaking(httpx.AsyncBaseTransport):
    """Opens after `threshold` failures in a row; after `open_s` it lets requests through again and sees.

    A failure is no answer, or one of 500 and above. An outer time limit that cancels a call says nothing about the
    neighbour, nor does a product page that is given up: neither is counted.
    """

    def __init__(
        self, inner: httpx.AsyncBaseTransport, *, service: str, threshold: int = 5, open_s: float = 10
    ) -> None:
        self._inner = inner
        self._service = service
        self._circuits = AsyncCircuitBreakerFactory(default_threshold=threshold, default_ttl=open_s)
        self._circuits.add_listener(note_change)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The neighbour's answer. Raises `CircuitOpen` without asking it while the circuit is open."""
        circuit = await self._circuits.get_breaker(self._service)
        await self._enter(circuit)
        # `async with circuit` would count a cancelled call as a failure, and knows nothing of statuses.
        try:
            response = await self._inner.handle_async_request(request)
        except httpx.TransportError as error:
            await circuit.__aexit__(None, error, None)
            raise
        failure = httpx.TransportError(f"status {response.status_code}") if response.is_server_error else None
        await circuit.__aexit__(None, failure, None)
        return response

    async def aclose(self) -> None:
        """Close what is wrapped."""
        await self._inner.aclose()

    async def _enter(self, circuit: AsyncCircuitBreaker) -> None:
        try:
            await circuit.__aenter__()
        except OpenedState as opened:
            note_state(self._service, "opened")
            # purgatory raises the same object each time, and a traceback would grow on it.
            opened.with_traceback(None)
            raise CircuitOpen(f"the circuit to {self._service} is open") from None
