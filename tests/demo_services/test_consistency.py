import asyncio
import sqlite3
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Literal, get_args

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clew_demo.assortment import ARTICLES
from clew_demo.inventory.client import InventoryClient
from clew_demo.inventory.models import Item
from clew_demo.payments.app import create_app
from clew_demo.payments.provider import DECLINED_CARD, Fate
from clew_demo.problems import Problem
from tests.demo_services.inventory.serving import serving
from tests.demo_services.payments.till import CARD, Scripted, Till

Step = Literal["reserve", "charge", "release", "void"]
PRICE_CENTS = 990

FATES = st.lists(st.sampled_from(get_args(Fate)), max_size=12)
BASKETS = st.dictionaries(
    st.sampled_from(["machine-lever", "kettle-gooseneck", "tea-sencha"]),
    st.integers(min_value=1, max_value=15),
    min_size=1,
)
STEPS = st.lists(st.sampled_from(get_args(Step)), min_size=1, max_size=6)
ORDERS = st.lists(st.tuples(BASKETS, st.sampled_from([CARD, DECLINED_CARD]), STEPS), min_size=1, max_size=6)


class TwoServices:
    """Inventory over gRPC and payments over HTTP, each on its own databases in one folder."""

    def __init__(self, folder: Path, till: Till, inventory: InventoryClient) -> None:
        self._folder = folder
        self._till = till
        self._inventory = inventory
        self._payments = create_app(till.cashier)

    async def take(self, step: Step, order_id: str, basket: dict[str, int], card: str) -> bool:
        """Whether one call about an order has had its effect."""
        calls: dict[Step, Callable[[], Awaitable[Any]]] = {
            "reserve": lambda: self._inventory.reserve(
                order_id, [Item(product_id=p, quantity=n) for p, n in basket.items()]
            ),
            "release": lambda: self._inventory.release(order_id),
            "charge": lambda: asyncio.to_thread(self._charge, order_id, card),
            "void": lambda: asyncio.to_thread(self._void, order_id),
        }
        try:
            await calls[step]()
        except Problem:
            return False
        return True

    async def settle(self, order_id: str, basket: dict[str, int], card: str) -> None:
        """As a saga ends: an order has its stock and its payment, or it has neither."""
        for step in ("reserve", "charge"):
            if not await self.take(step, order_id, basket, card):
                await self.take("release", order_id, basket, card)
                await self.take("void", order_id, basket, card)
                return

    def settle_voids(self) -> None:
        """As time passes: each void that is due is tried again."""
        while self._till.payments.voids_due():
            self._till.cashier.void_all_due()

    def assert_consistent(self) -> None:
        """Every unit and every cent belongs to exactly one order that has both, or to nobody."""
        captured = self._column("payments", "SELECT order_id FROM payments WHERE state = 'captured'")
        reserved = self._column("inventory", "SELECT order_id FROM reservations WHERE state = 'reserved'")
        assert set(captured) == set(reserved)
        assert sum(self._till.balances()) == len(captured) * PRICE_CENTS

        on_shelves = dict(self._rows("inventory", "SELECT id, stock FROM products"))
        sold = dict(
            self._rows(
                "inventory",
                "SELECT product_id, sum(quantity) FROM reservation_lines JOIN reservations USING (order_id) "
                "WHERE state = 'reserved' GROUP BY product_id",
            )
        )
        assert min(on_shelves.values()) >= 0
        for article in ARTICLES:
            assert on_shelves[article.id] + sold.get(article.id, 0) == article.target_stock

    def _charge(self, order_id: str, card: str) -> None:
        body = {"order_id": order_id, "amount_cents": PRICE_CENTS, "card": card}
        _check(self._payments.test_client().post("/payments", json=body))

    def _void(self, order_id: str) -> None:
        _check(self._payments.test_client().delete(f"/payments/{order_id}"))

    def _column(self, service: str, query: str) -> list[str]:
        return [value for (value,) in self._rows(service, query)]

    def _rows(self, service: str, query: str) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(self._folder / f"{service}.db")
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()


def _check(answer: Any) -> None:
    assert answer.status_code != 500, answer.text
    if answer.status_code >= 400:
        raise Problem(answer.status_code, answer.json["code"], answer.json["detail"])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(orders=ORDERS, first=FATES, second=FATES, together=...)
def test_stock_and_money_add_up_whatever_goes_wrong(
    orders: list[tuple[dict[str, int], str, list[Step]]], first: list[Fate], second: list[Fate], together: bool
) -> None:
    """Any calls about any orders, at once or one by one, while both providers have bad days; then each saga ends."""

    async def run(folder: Path) -> None:
        till = Till(folder, first=Scripted(first), second=Scripted(second), open_s=0)
        async with serving(folder) as inventory:
            shop = TwoServices(folder, till, inventory)
            named = [(f"o-{number}", *order) for number, order in enumerate(orders)]
            calls = [shop.take(step, id, basket, card) for id, basket, card, steps in named for step in steps]

            for batch in [calls] if together else [[call] for call in calls]:
                await asyncio.gather(*batch)
            for id, basket, card, _ in named:
                await shop.settle(id, basket, card)
            await asyncio.to_thread(shop.settle_voids)

            shop.assert_consistent()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder)))
