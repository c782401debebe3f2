"""The shop's books: whether money, stock and points add up over all of its services."""

import json
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any


class Books:
    """What the services' databases say, read from outside. Only for a shop into which no delivery came."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def unfinished(self) -> int:
        """Orders that are neither shipped nor failed, and messages that are still to be sent."""
        waiting = "SELECT id FROM orders WHERE state NOT IN ('shipped', 'failed')"
        unsent = [self._rows(name, "SELECT id FROM outbox") for name in ("orders", "shipping", "notifications")]
        return len(self._rows("orders", waiting)) + sum(map(len, unsent))

    def orders(self) -> Counter[str]:
        """How many orders there are in each state."""
        return Counter(state for (state,) in self._rows("orders", "SELECT state FROM orders"))

    def differences(self) -> dict[str, Any]:
        """What does not add up, by name; empty when all does."""
        shipped = dict(self._rows("orders", "SELECT id, total_cents FROM orders WHERE state = 'shipped'"))
        compared = {
            "money taken": (self._pairs("payments", "payments", "amount_cents", "captured"), shipped),
            "money at the providers": (self._charged_once(), set(shipped)),
            "points": (
                self._pairs("accounts", "earnings", "points", "earned"),
                {order_id: cents // 100 for order_id, cents in shipped.items()},
            ),
            "shipments": (set(self._pairs("shipping", "shipments", "tracking", "booked")), set(shipped)),
            "stock set aside": (set(self._pairs("inventory", "reservations", "order_id", "reserved")), set(shipped)),
            "stock on the shelves": (self._stock(), self._delivered()),
            "units sold": (self._units_reserved(), self._units_ordered()),
        }
        return {name: (found, right) for name, (found, right) in compared.items() if found != right}

    def _pairs(self, service: str, table: str, column: str, state: str) -> dict[str, Any]:
        return dict(self._rows(service, f"SELECT order_id, {column} FROM {table} WHERE state = '{state}'"))

    def _charged_once(self) -> set[str]:
        """Orders that were charged; one that was charged twice is named so."""
        charged = Counter(
            order_id for (order_id,) in self._rows("payments", "SELECT order_id FROM attempts WHERE state = 'charged'")
        )
        return {order_id if times == 1 else f"{order_id} {times} times" for order_id, times in charged.items()}

    def _stock(self) -> dict[str, int]:
        """Units on the shelf and units set aside, of each product."""
        query = """
            SELECT id, stock + coalesce((
                SELECT sum(quantity) FROM reservation_lines AS line JOIN reservations USING (order_id)
                WHERE line.product_id = products.id AND state = 'reserved'), 0)
            FROM products
        """
        return dict(self._rows("inventory", query))

    def _delivered(self) -> dict[str, int]:
        return dict(self._rows("inventory", "SELECT id, target_stock FROM products"))

    def _units_reserved(self) -> int:
        query = """
            SELECT coalesce(sum(quantity), 0) FROM reservation_lines JOIN reservations USING (order_id)
            WHERE state = 'reserved'
        """
        return int(self._rows("inventory", query)[0][0])

    def _units_ordered(self) -> int:
        lines = self._rows("orders", "SELECT lines FROM orders WHERE state = 'shipped'")
        return sum(line["quantity"] for (each,) in lines for line in json.loads(each))

    def _rows(self, service: str, query: str) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(self._folder / f"{service}.db", timeout=5)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()
