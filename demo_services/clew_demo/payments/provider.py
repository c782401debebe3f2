"""Card providers: other companies' services, simulated in this process with their delays and their bad days."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from random import Random
from typing import Literal

from opentelemetry import trace

from clew_demo.faults.switchboard import Switchboard
from clew_demo.payments.books import Books
from clew_demo.payments.models import Charge

DECLINED_CARD = "4000000000000002"
"""The card that is always declined, as in the test cards of real providers."""

FLAKY_PREFIX = "50"
"""Cards of the network whose line is bad, whichever provider uses it: with two tries at each of two providers, 15 % of
their payments fail for good."""
FLAKY_FAILURE_RATE = 0.62

LATENCY_S = (0.03, 0.12)
LINE_CLOSED_AFTER_S = 0.25
TIMEOUT_S = 0.5

tracer = trace.get_tracer(__name__)

Fate = Literal["answers", "refuses", "times out", "line fails"]
"""What becomes of one call. One that times out has done its work, and nobody hears of it."""


class CardDeclined(Exception):
    """The bank says no; asking again will not help."""


class ChargeVoided(Exception):
    """The provider was told before to take no money for this order."""


class ProviderUnavailable(Exception):
    """The provider did not do what it was asked; nothing was charged, asking again may help."""


class CardNetworkFailed(ProviderUnavailable):
    """The provider is well, but the line to the card's own network is not; nothing was charged."""


class ProviderTimedOut(ProviderUnavailable):
    """The provider did not answer in time: whether it has charged is not known."""


class BadDays:
    """How often a provider's calls go wrong."""

    def __init__(self, random: Random, *, failure_rate: float = 0.0, timeout_rate: float = 0.0) -> None:
        self._random = random
        self._failure_rate = failure_rate
        self._timeout_rate = timeout_rate

    def __call__(self, card: str) -> Fate:
        """The fate of the next call."""
        if card.startswith(FLAKY_PREFIX) and self._random.random() < FLAKY_FAILURE_RATE:
            return "line fails"
        drawn = self._random.random()
        if drawn < self._failure_rate:
            return "refuses"
        return "times out" if drawn < self._failure_rate + self._timeout_rate else "answers"


class CardProvider:
    """Charges cards, once an order. Blocks for as long as the provider takes."""

    def __init__(
        self,
        name: str,
        *,
        books: Books,
        fate: Callable[[str], Fate],
        faults: Switchboard,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name = name
        self._books = books
        self._fate = fate
        self._faults = faults
        self._sleep = sleep
        self._latency = Random(name)

    def charge(self, charge: Charge) -> None:
        """Take the money. Safe to repeat.

        Raises `CardDeclined`, `ChargeVoided`, or `ProviderUnavailable` and its kinds.
        """
        with self._call("charge card", charge.order_id) as span:
            span.set_attribute("payment.amount_cents", charge.amount_cents)
            fate = self._next_fate(charge.card)
            if charge.card == DECLINED_CARD:
                raise CardDeclined("insufficient funds")
            if not self._books.charge(self.name, charge.order_id, charge.amount_cents):
                raise ChargeVoided(charge.order_id)
            self._lose_answer(fate)

    def void(self, order_id: str) -> None:
        """Give the money of an order back, if it was taken, and take none later. Safe to repeat.

        Raises `ProviderUnavailable` and its kinds.
        """
        with self._call("void card", order_id):
            fate = self._next_fate(card="")
            self._books.void(self.name, order_id)
            self._lose_answer(fate)

    def _next_fate(self, card: str) -> Fate:
        """Wait for the provider. Raises what keeps it from doing anything."""
        self._sleep(self._latency.uniform(*LATENCY_S))
        if self.name == "first" and self._faults.is_on("failing-provider"):
            raise ProviderUnavailable("the card provider is closed")
        fate = self._fate(card)
        if fate == "refuses":
            raise ProviderUnavailable("the card provider answered 503")
        if fate == "line fails":
            self._sleep(LINE_CLOSED_AFTER_S)
            raise CardNetworkFailed("the card network closed the connection")
        return fate

    def _lose_answer(self, fate: Fate) -> None:
        if fate == "times out":
            self._sleep(TIMEOUT_S)
            raise ProviderTimedOut("the card provider did not answer in time")

    def _call(self, name: str, order_id: str) -> AbstractContextManager[trace.Span]:
        """A span for a call that leaves the house; an exception that leaves the block is noted on it."""
        return tracer.start_as_current_span(
            name,
            kind=trace.SpanKind.CLIENT,
            attributes={
                "server.address": f"api.{self.name}-cards.example",
                "payment.provider": self.name,
                "order.id": order_id,
            },
        )
