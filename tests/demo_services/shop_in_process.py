"""The whole demo shop in this process: real services and databases, joined by lines that can be cut."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any, Literal

import httpx
from fastapi import FastAPI

from clew_demo.gateway import app as gateway_app
from clew_demo.gateway.database import Views
from clew_demo.gateway.shop import Shop
from clew_demo.inventory import app as inventory_app
from clew_demo.inventory.assortment import ARTICLES
from clew_demo.inventory.database import Inventory
from clew_demo.orders import app as orders_app
from clew_demo.orders.checkout import Checkout
from clew_demo.orders.database import Orders
from clew_demo.payments import app as payments_app
from clew_demo.payments.cashier import Cashier
from clew_demo.payments.database import Payments
from clew_demo.payments.provider import CardProvider, ProviderUnavailable
from clew_demo.traffic.actions import CARDS
from clew_demo.upstream import Upstream

GOOD_CARD = CARDS[0]

Fate = Literal["works", "request lost", "answer lost", "breaks"]


class Line(httpx.AsyncBaseTransport):
    """The way to a service in this process. Each call meets the next fate; when they run out, all works."""

    def __init__(self, app: FastAPI, fates: Iterable[Fate] = ()) -> None:
        self._way = httpx.ASGITransport(app, raise_app_exceptions=False)
        self._fates: Iterator[Fate] = iter(fates)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        fate = next(self._fates, "works")
        if fate == "request lost":
            raise httpx.ConnectError("connection refused")
        response = await self._way.handle_async_request(request)
        if fate == "answer lost":
            raise httpx.ReadTimeout("no answer")
        return httpx.Response(500) if fate == "breaks" else response


class ScriptedProvider(CardProvider):
    """A card provider that takes no time, and is unavailable as often as it is told."""

    def __init__(self, *, failures: int = 0) -> None:
        super().__init__(random=Random(0), sleep=lambda seconds: None)
        self.failures = failures
        self.balance_cents = 0

    def charge(self, card: str, amount_cents: int) -> None:
        if self.failures:
            self.failures -= 1
            raise ProviderUnavailable("closed today")
        super().charge(card, amount_cents)
        self.balance_cents += amount_cents

    def refund(self, amount_cents: int) -> None:
        self.balance_cents -= amount_cents


class ShopInProcess:
    """Gateway, orders, inventory and payments on databases in `folder`."""

    def __init__(
        self,
        folder: Path,
        *,
        to_inventory: Iterable[Fate] = (),
        to_payments: Iterable[Fate] = (),
        provider_failures: int = 0,
    ) -> None:
        self.folder = folder
        self.now_s = 1_000_000.0
        self.provider = ScriptedProvider(failures=provider_failures)
        self.inventory = Inventory(folder / "inventory.db")
        inventory = inventory_app.create_app(self.inventory)
        payments = payments_app.create_app(Payments(folder / "payments.db"), self.provider)
        payments.state.cashier = Cashier(Payments(folder / "payments.db"), self.provider, sleep=lambda seconds: None)
        self.checkout = Checkout(
            Orders(folder / "orders.db"),
            inventory=_upstream("inventory", Line(inventory, to_inventory)),
            payments=_upstream("payments", Line(payments, to_payments)),
            now_s=lambda: self.now_s,
        )
        shop = Shop(
            Views(folder / "gateway.db"),
            orders=_upstream("orders", Line(orders_app.create_app(self.checkout))),
            inventory=_upstream("inventory", Line(inventory)),
            now_s=lambda: self.now_s,
        )
        self._gateway = gateway_app.create_app(shop)

    def send(self, *requests: httpx.Request) -> list[httpx.Response]:
        """Send requests to the gateway, all at once."""

        async def send_all() -> list[httpx.Response]:
            transport = httpx.ASGITransport(self._gateway, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport) as client:
                return await asyncio.gather(*map(client.send, requests))

        return asyncio.run(send_all())

    def get(self, path: str) -> httpx.Response:
        return self.send(httpx.Request("GET", f"http://gateway{path}"))[0]

    def check_out(self, quantities: Mapping[str, int], **wanted: Any) -> httpx.Response:
        return self.send(a_checkout(quantities, **wanted))[0]

    def settle(self) -> None:
        """Let time pass until every order that was left half-way has been undone."""
        self.now_s += 3600
        asyncio.run(self.checkout.settle_unfinished())

    def rows(self, service: str, query: str) -> list[tuple[Any, ...]]:
        """What a service's database holds."""
        connection = sqlite3.connect(self.folder / f"{service}.db")
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()

    def stock(self, product_id: str) -> int:
        return self.inventory.available(product_id)

    def assert_consistent(self) -> None:
        """Every unit and every cent belongs to exactly one confirmed order, or to nobody."""
        orders = dict(self.rows("orders", "SELECT id, total_cents FROM orders WHERE state = 'confirmed'"))
        captured = dict(self.rows("payments", "SELECT order_id, amount_cents FROM payments WHERE state = 'captured'"))
        assert captured == orders
        assert self.provider.balance_cents == sum(orders.values())

        reserved = self.rows("inventory", "SELECT order_id FROM reservations WHERE state = 'reserved'")
        assert {order_id for (order_id,) in reserved} == set(orders)

        on_shelves = dict(self.rows("inventory", "SELECT id, stock FROM products"))
        sold = dict(
            self.rows(
                "inventory",
                "SELECT product_id, sum(quantity) FROM reservation_lines JOIN reservations USING (order_id) "
                "WHERE state = 'reserved' GROUP BY product_id",
            )
        )
        assert min(on_shelves.values()) >= 0
        for article in ARTICLES:
            assert on_shelves[article.id] + sold.get(article.id, 0) == article.target_stock


def a_checkout(
    quantities: Mapping[str, int],
    *,
    card: str = GOOD_CARD,
    gift_wrap: bool = False,
    headers: Mapping[str, str] | None = None,
) -> httpx.Request:
    """A request to buy a basket."""
    items = [{"product_id": product_id, "quantity": quantity} for product_id, quantity in quantities.items()]
    body = {"user": "ada", "items": items, "card": card, "gift_wrap": gift_wrap}
    return httpx.Request("POST", "http://gateway/checkout", json=body, headers=headers)


def an_upstream(answer: Callable[[httpx.Request], httpx.Response]) -> Upstream:
    """A service called `orders` that answers as told."""
    return _upstream("orders", httpx.MockTransport(answer))


def _upstream(service: str, transport: httpx.AsyncBaseTransport) -> Upstream:
    return Upstream(service, f"http://{service}", timeout_s=5, transport=transport)
