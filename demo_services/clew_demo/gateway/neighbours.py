"""The services behind the gateway, and what each of their calls is wrapped in."""

from dataclasses import dataclass
from typing import Protocol

import httpx

from clew_demo.faults.switchboard import Switchboard
from clew_demo.resilience.balancing import Balanced, Balancer
from clew_demo.resilience.breaker import Breaking
from clew_demo.resilience.budget import RetryBudget
from clew_demo.resilience.retries import Retrying
from clew_demo.resilience.time_limit import TimeLimited
from clew_demo.upstream import Upstream

CATALOG_URL = "http://catalog"
"""Stands for whichever instance is next."""

CATALOG_TRY_S = 1
CATALOG_TIMEOUT_S = 3
CATALOG_FAILURES = 10
CATALOG_OPEN_S = 3

RECOMMENDATIONS_TRY_S = 0.4
RECOMMENDATIONS_TIMEOUT_S = 1
RECOMMENDATIONS_FAILURES = 5
RECOMMENDATIONS_OPEN_S = 5

ORDERS_TIMEOUT_S = 20
"""A checkout takes seconds when a card provider is slow."""

ACCOUNTS_TIMEOUT_S = 2


class Stock(Protocol):
    """What the gateway asks the inventory for. Each raises `Problem`."""

    async def stock(self, product_id: str) -> int:
        """Units that are left."""

    async def restock(self) -> int:
        """Let a delivery in; the units that came."""

    async def close(self) -> None:
        """Let go of the connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbours:
    """The services that the gateway asks."""

    catalog: Upstream
    recommendations: Upstream
    orders: Upstream
    accounts: Upstream
    inventory: Stock

    async def close(self) -> None:
        """Let go of all connections."""
        for neighbour in (self.catalog, self.recommendations, self.orders, self.accounts, self.inventory):
            await neighbour.close()


def catalog(balancer: Balancer, faults: Switchboard, *, network: httpx.AsyncBaseTransport | None = None) -> Upstream:
    """Several instances; asked again when one fails, and left alone for a moment when all do."""
    balanced = TimeLimited(Balanced(network or _network(), balancer=balancer), limit_s=CATALOG_TRY_S)
    breaking = Breaking(balanced, service="catalog", threshold=CATALOG_FAILURES, open_s=CATALOG_OPEN_S)
    retrying = Retrying(
        breaking,
        service="catalog",
        budget=RetryBudget(),
        is_storming=lambda: faults.is_on("retry-storm"),
    )
    return Upstream("catalog", CATALOG_URL, timeout_s=CATALOG_TIMEOUT_S, transport=retrying)


def recommendations(url: str, *, network: httpx.AsyncBaseTransport | None = None) -> Upstream:
    """Nice to have: asked once, briefly, and left alone while it fails."""
    limited = TimeLimited(network or _network(), limit_s=RECOMMENDATIONS_TRY_S)
    breaking = Breaking(
        limited, service="recommendations", threshold=RECOMMENDATIONS_FAILURES, open_s=RECOMMENDATIONS_OPEN_S
    )
    return Upstream("recommendations", url, timeout_s=RECOMMENDATIONS_TIMEOUT_S, transport=breaking)


def orders(url: str, *, network: httpx.AsyncBaseTransport | None = None) -> Upstream:
    """Asked again where that is safe: looking up an order, and placing one under a key whose connection broke."""
    retrying = Retrying(network or _network(), service="orders", budget=RetryBudget())
    return Upstream("orders", url, timeout_s=ORDERS_TIMEOUT_S, transport=retrying)


def accounts(url: str, *, network: httpx.AsyncBaseTransport | None = None) -> Upstream:
    """Asked again for its keys; points that it does not add at once come with the event of the order."""
    retrying = Retrying(network or _network(), service="accounts", budget=RetryBudget())
    return Upstream("accounts", url, timeout_s=ACCOUNTS_TIMEOUT_S, transport=retrying)


def _network() -> httpx.AsyncBaseTransport:
    return httpx.AsyncHTTPTransport(trust_env=False)
