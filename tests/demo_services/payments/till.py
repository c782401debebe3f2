"""Payments with real databases and providers that meet the fates they are told."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import httpx

from clew_demo.faults.switchboard import Switchboard
from clew_demo.payments.books import Books
from clew_demo.payments.cashier import Cashier
from clew_demo.payments.database import Payments
from clew_demo.payments.fraud import FraudCheck
from clew_demo.payments.guarded import GuardedProvider
from clew_demo.payments.models import Charge
from clew_demo.payments.provider import CardProvider, Fate

CARD = "4242424242424242"


def a_charge(card: str = CARD, *, order_id: str = "o-1") -> Charge:
    return Charge(order_id=order_id, amount_cents=990, card=card)


class Scripted:
    """Fates one after the other; then `afterwards`. It counts the calls."""

    def __init__(self, fates: Iterable[Fate] = (), *, afterwards: Fate = "answers") -> None:
        self._fates = iter(fates)
        self._afterwards: Fate = afterwards
        self.calls = 0

    def __call__(self, card: str) -> Fate:
        self.calls += 1
        return next(self._fates, self._afterwards)


class Till:
    """A cashier with two providers, on databases in `folder`."""

    def __init__(
        self,
        folder: Path,
        *,
        first: Scripted | None = None,
        second: Scripted | None = None,
        has_second: bool = True,
        provider: type[CardProvider] = CardProvider,
        verdict: Callable[[httpx.Request], httpx.Response] = lambda _: httpx.Response(200, json={"verdict": "ok"}),
        **guard: Any,
    ) -> None:
        self.faults = Switchboard(folder)
        self.payments = Payments(folder / "payments.db")
        self.books = Books(folder / "card-providers.db")
        self.first, self.second = first or Scripted(), second or Scripted()
        providers = [
            provider(name, books=self.books, fate=fate, faults=self.faults, sleep=lambda seconds: None)
            for name, fate in (("first", self.first), ("second", self.second))
        ]
        self.cashier = Cashier(
            self.payments,
            [GuardedProvider(each, retry_after_s=0, **guard) for each in providers[: 2 if has_second else 1]],
            fraud=FraudCheck("http://fraud", transport=httpx.MockTransport(verdict)),
        )

    def balances(self) -> tuple[int, int]:
        """What each provider holds of our customers' money."""
        return self.books.balance_cents("first"), self.books.balance_cents("second")
