"""A card provider behind a circuit breaker, asked once more when it stumbles."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import stamina
import structlog
from purgatory import SyncCircuitBreakerFactory
from purgatory.domain.model import OpenedState

from clew_demo.payments.models import Charge
from clew_demo.payments.provider import (
    CardDeclined,
    CardNetworkFailed,
    CardProvider,
    ChargeVoided,
    ProviderTimedOut,
    ProviderUnavailable,
)
from clew_demo.resilience.circuit_notes import note_change, note_state

TRIES = 2
RETRY_AFTER_S = 0.1
BREAKER_FAILURES = 5
BREAKER_OPEN_S = 10.0
log = structlog.get_logger()


class GuardedProvider:
    """Charges and voids as the provider does. After failures in a row it is left alone for a while.

    A card that is declined, or whose network is away, says nothing about the provider.
    """

    def __init__(
        self,
        provider: CardProvider,
        *,
        tries: int = TRIES,
        retry_after_s: float = RETRY_AFTER_S,
        failures: int = BREAKER_FAILURES,
        open_s: float = BREAKER_OPEN_S,
    ) -> None:
        self.name = provider.name
        self._provider = provider
        self._tries = tries
        self._retry_after_s = retry_after_s
        self._lock = threading.Lock()
        self._breakers = SyncCircuitBreakerFactory(
            default_threshold=failures, default_ttl=open_s, exclude=[CardDeclined, CardNetworkFailed, ChargeVoided]
        )
        self._breakers.add_listener(note_change)

    def charge(self, charge: Charge) -> None:
        """Take the money of an order. Raises as `CardProvider.charge`."""
        tries = stamina.retry_context(
            on=_is_worth_another_try,
            attempts=self._tries,
            wait_initial=self._retry_after_s,
            wait_max=self._retry_after_s,
            wait_jitter=0,
        )
        for attempt in tries:
            with attempt, self._breaker():
                self._provider.charge(charge)

    def void(self, order_id: str) -> None:
        """Give the money of an order back. Raises as `CardProvider.void`."""
        with self._breaker():
            self._provider.void(order_id)

    @contextmanager
    def _breaker(self) -> Iterator[None]:
        """One call. purgatory knows no threads: it is told of beginnings and ends by one at a time."""
        with self._lock:
            breaker = self._breakers.get_breaker(self.name)
            try:
                breaker.__enter__()
            except OpenedState as opened:
                note_state(self.name, "opened")
                # purgatory raises the same object each time, and a traceback would grow on it.
                opened.with_traceback(None)
                raise BreakerOpen(f"the circuit to {self.name} is open") from None
        try:
            yield
        except Exception as error:
            with self._lock:
                breaker.__exit__(type(error), error, error.__traceback__)
            raise
        with self._lock:
            breaker.__exit__(None, None, None)


class BreakerOpen(ProviderUnavailable):
    """The provider was not asked: it has failed too often."""


def log_retry(details: stamina.instrumentation.RetryDetails) -> None:
    """Say that a provider is asked again."""
    log.warning("card provider failed, trying once more", reason=str(details.caused_by))


def _is_worth_another_try(error: Exception) -> bool:
    """A time-out has cost enough already, and its money may be taken."""
    return isinstance(error, ProviderUnavailable) and not isinstance(error, (ProviderTimedOut, BreakerOpen))
