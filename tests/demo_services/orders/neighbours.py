"""The services around orders, with accounts of their own of what is held for which order; each can be away."""

import asyncio
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import httpx

from clew_demo.faults.switchboard import Switchboard
from clew_demo.inventory.models import Line, Packing, Reservation
from clew_demo.orders.checkout import Checkout
from clew_demo.orders.database import Orders
from clew_demo.orders.models import Item, Order, OrderRequest
from clew_demo.problems import Problem
from clew_demo.upstream import Upstream

PRICE_CENTS = 1290
WRAP_CENTS = 300
DECLINED = "4000"

Fate = Literal["works", "request lost", "answer lost"]


class Shelves:
    """An inventory with ten of each product. Each call meets the next fate; when they run out, all works."""

    def __init__(self, fates: Iterable[Fate] = ()) -> None:
        self.reserved: dict[str, int] = {}
        self._released: set[str] = set()
        self._fates: Iterator[Fate] = iter(fates)

    async def reserve(self, order_id: str, items: Sequence[Item]) -> Reservation:
        units = sum(item.quantity for item in items)
        with_fate = next(self._fates, "works")
        if with_fate == "request lost":
            raise Problem(503, "inventory_unavailable", "The inventory service cannot be reached.")
        if units > 10 - sum(self.reserved.values()):
            raise Problem(409, "out_of_stock", "There are not that many.")
        if order_id in self._released:
            raise Problem(409, "order_cancelled", "Too late.")
        self.reserved[order_id] = units
        if with_fate == "answer lost":
            raise Problem(504, "inventory_timeout", "The inventory service did not answer in time.")
        lines = [
            Line(product_id=item.product_id, name="Tea", quantity=item.quantity, unit_cents=PRICE_CENTS)
            for item in items
        ]
        return Reservation(order_id=order_id, lines=lines, total_cents=units * PRICE_CENTS)

    async def release(self, order_id: str) -> int:
        if next(self._fates, "works") == "request lost":
            raise Problem(503, "inventory_unavailable", "The inventory service cannot be reached.")
        self._released.add(order_id)
        return self.reserved.pop(order_id, 0)

    async def fit_boxes(self, items: Sequence[Item]) -> Packing:
        return Packing(boxes=["S"], price_cents=WRAP_CENTS)

    async def close(self) -> None: ...


class Till(httpx.AsyncBaseTransport):
    """A payments service, strict about what it is sent."""

    def __init__(self, fates: Iterable[Fate] = ()) -> None:
        self.taken_cents: dict[str, int] = {}
        self._voided: set[str] = set()
        self._fates: Iterator[Fate] = iter(fates)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        fate = next(self._fates, "works")
        if fate == "request lost":
            raise httpx.ConnectError("connection refused")
        response = self._void(request) if request.method == "DELETE" else self._charge(await request.aread())
        if fate == "answer lost":
            raise httpx.ReadTimeout("no answer")
        return response

    def _charge(self, content: bytes) -> httpx.Response:
        body = json.loads(content)
        if body.keys() != {"order_id", "amount_cents", "card"}:
            return httpx.Response(422, json={"code": "invalid_request", "detail": "The request is not valid."})
        if body["card"] == DECLINED:
            return httpx.Response(402, json={"code": "card_declined", "detail": "The card was declined."})
        if body["order_id"] in self._voided:
            return httpx.Response(409, json={"code": "order_cancelled", "detail": "Too late."})
        self.taken_cents[body["order_id"]] = body["amount_cents"]
        return httpx.Response(201, json={})

    def _void(self, request: httpx.Request) -> httpx.Response:
        order_id = request.url.path.rsplit("/", 1)[1]
        self._voided.add(order_id)
        return httpx.Response(200, json={"refunded_cents": self.taken_cents.pop(order_id, 0)})


class OrdersInProcess:
    """The orders service between its neighbours."""

    def __init__(self, folder: Path, *, to_inventory: Iterable[Fate] = (), to_payments: Iterable[Fate] = ()) -> None:
        self.now_s = 1_000_000.0
        self.shelves = Shelves(to_inventory)
        self.till = Till(to_payments)
        self.faults = Switchboard(folder)
        self.orders = Orders(folder / "orders.db", now_s=lambda: self.now_s)
        self.checkout = Checkout(
            self.orders,
            inventory=self.shelves,
            payments=Upstream("payments", "http://payments", timeout_s=5, transport=self.till),
            faults=self.faults,
        )

    def place(
        self, quantity: int = 1, *, card: str = "4242", gift_wrap: bool = False, key: str | None = None
    ) -> Order | Problem:
        """The order, or why there is none."""
        items = [Item(product_id="tea-sencha", quantity=quantity)]
        request = OrderRequest(user="ada", items=items, card=card, gift_wrap=gift_wrap)
        try:
            return asyncio.run(self.checkout.place(request, idempotency_key=key))
        except Problem as problem:
            return problem

    def a_paid_order(self) -> Order:
        order = self.place()
        assert isinstance(order, Order)
        assert order.state == "paid"
        return order

    def settle(self) -> None:
        """Let time pass, and the service tidy up."""
        self.now_s += 3600
        asyncio.run(self.checkout.settle_unfinished())

    def found(self) -> list[Order]:
        """All orders of the read model, in the order of their placing."""
        with self.orders.database.read() as statements:
            ids = [row["id"] for row in statements.execute("SELECT id FROM orders ORDER BY rowid")]
        return [order for each in ids if (order := self.orders.find(each)) is not None]

    def events(self, order_id: str) -> list[str]:
        query = "SELECT name FROM order_events WHERE order_id = :id ORDER BY version"
        with self.orders.database.read() as statements:
            return [row["name"] for row in statements.execute(query, {"id": order_id})]

    def to_be_sent(self) -> list[tuple[str, dict[str, Any]]]:
        """Messages in the outbox."""
        with self.orders.database.read() as statements:
            rows = statements.execute("SELECT name, body FROM outbox ORDER BY position")
        return [(row["name"], json.loads(row["body"])) for row in rows]

    def assert_balanced(self) -> None:
        """Stock and money are held for exactly the orders that are paid or shipped."""
        sold = {order.id for order in self.found() if order.state in ("paid", "shipped")}
        assert set(self.shelves.reserved) == sold
        assert self.till.taken_cents == {order.id: order.total_cents for order in self.found() if order.id in sold}
