"""The card provider: another company's service, simulated in this process with its delays and its bad days."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from random import Random

from opentelemetry import trace

DECLINED_CARD = "4000000000000002"
"""The card that is always declined, as in the test cards of real providers."""

FLAKY_PREFIX = "50"
"""Cards of the network whose line is bad: two failures in a row are 15 % of all payments."""
FLAKY_FAILURE_RATE = 0.39

LATENCY_S = (0.03, 0.12)
GIVE_UP_S = 0.25

tracer = trace.get_tracer(__name__)


class CardDeclined(Exception):
    """The bank says no; asking again will not help."""


class ProviderUnavailable(Exception):
    """The provider did not answer; nothing was charged, asking again may help."""


class CardProvider:
    """Charges cards. Blocks for as long as the provider takes."""

    def __init__(self, *, random: Random, sleep: Callable[[float], None] = time.sleep) -> None:
        self._random = random
        self._sleep = sleep

    def charge(self, card: str, amount_cents: int) -> None:
        """Take the money. Raises `CardDeclined` or `ProviderUnavailable`."""
        with _call("charge card", amount_cents):
            self._sleep(self._random.uniform(*LATENCY_S))
            if card == DECLINED_CARD:
                raise CardDeclined("insufficient funds")
            if card.startswith(FLAKY_PREFIX) and self._random.random() < FLAKY_FAILURE_RATE:
                self._sleep(GIVE_UP_S)
                raise ProviderUnavailable("the card network closed the connection")

    def refund(self, amount_cents: int) -> None:
        """Give the money back."""
        with _call("refund card", amount_cents):
            self._sleep(self._random.uniform(*LATENCY_S))


def _call(name: str, amount_cents: int) -> AbstractContextManager[trace.Span]:
    """A span for a call that leaves the house; an exception that leaves the block is noted on it."""
    return tracer.start_as_current_span(
        name,
        kind=trace.SpanKind.CLIENT,
        attributes={"server.address": "api.cards.example", "payment.amount_cents": amount_cents},
    )
