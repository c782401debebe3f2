"""Stock that can be reserved and released, in SQLite.

Both can come twice, and a release can overtake the reservation that it cancels: the order's row remembers.
"""

import json
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from clew_demo.assortment import ARTICLES, gift_boxes
from clew_demo.faults.switchboard import Switchboard
from clew_demo.inventory.models import Item, Line, Packing
from clew_demo.sqlite import Database, Statements

SCHEMA = """
CREATE TABLE IF NOT EXISTS products (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    category TEXT NOT NULL,
    price_cents INTEGER NOT NULL,
    volume_cm3 INTEGER NOT NULL,
    target_stock INTEGER NOT NULL,
    stock INTEGER NOT NULL CHECK (stock >= 0)
) STRICT;
CREATE TABLE IF NOT EXISTS reservations (
    order_id TEXT PRIMARY KEY,
    state TEXT NOT NULL CHECK (state IN ('reserved', 'released'))
) STRICT;
CREATE TABLE IF NOT EXISTS reservation_lines (
    order_id TEXT NOT NULL,
    product_id TEXT NOT NULL,
    name TEXT NOT NULL,
    quantity INTEGER NOT NULL,
    unit_cents INTEGER NOT NULL,
    PRIMARY KEY (order_id, product_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS gift_boxes (
    name TEXT PRIMARY KEY,
    volume_cm3 INTEGER NOT NULL,
    price_cents INTEGER NOT NULL
) STRICT;
"""

TAKE_STOCK = """
UPDATE products SET stock = stock - wanted.value
FROM json_each(:quantities) AS wanted
WHERE products.id = wanted.key AND products.stock >= wanted.value
RETURNING id, name, price_cents
"""

THREE_BOXES = """
SELECT a.name AS a, b.name AS b, c.name AS c, a.price_cents + b.price_cents + c.price_cents AS price_cents
FROM gift_boxes AS a, gift_boxes AS b, gift_boxes AS c
WHERE a.volume_cm3 + b.volume_cm3 + c.volume_cm3 >= :volume_cm3
ORDER BY price_cents LIMIT 1
"""
"""Slow on purpose: compares every box in every paper with every other, 240 to the power of three, for about a
second, where comparing sizes would do. The trace of a big gift-wrapped basket shows it."""


SLOW_UPDATE_S = 0.4
"""What the fault `slow-database` adds to each `UPDATE products`."""


class UnknownProduct(Exception):
    """A product that the shop does not have."""


class OutOfStock(Exception):
    """Too little of a product is left; nothing was reserved."""


class ReservationCancelled(Exception):
    """The order was called off before its reservation came."""


class TooBigToWrap(Exception):
    """No three gift boxes hold the basket."""


class Inventory:
    """Products and their stock. Stock on the shelf and stock reserved always add up to what was delivered."""

    def __init__(self, path: Path, *, faults: Switchboard) -> None:
        self._database = SlowableDatabase(path, faults=faults)
        with self._database.write() as statements:
            _fill(statements)

    def available(self, product_id: str) -> int:
        """Units that can be reserved now. Raises `UnknownProduct`."""
        with self._database.read() as statements:
            rows = statements.execute("SELECT stock FROM products WHERE id = :id", {"id": product_id})
        if not rows:
            raise UnknownProduct(product_id)
        return int(rows[0]["stock"])

    def reserve(self, order_id: str, items: Iterable[Item]) -> list[Line]:
        """Set stock aside, all of it or none; again for the same order it gives the same lines.

        Raises `UnknownProduct`, `OutOfStock` or `ReservationCancelled`.
        """
        with self._database.write() as statements:
            state = _open_reservation(statements, order_id)
            if state == "released":
                raise ReservationCancelled(order_id)
            if state == "reserved":
                return _lines(statements, order_id)
            return _take(statements, order_id, _quantities(items))

    def release(self, order_id: str) -> int:
        """Put back what an order reserved and keep it from reserving later; return how many units that was."""
        mark_released = """
            INSERT INTO reservations (order_id, state) VALUES (:order_id, 'released')
            ON CONFLICT (order_id) DO UPDATE SET state = 'released' WHERE state = 'reserved' RETURNING order_id
        """
        put_back = """
            UPDATE products SET stock = stock + line.quantity
            FROM reservation_lines AS line WHERE line.order_id = :order_id AND products.id = line.product_id
        """
        order = {"order_id": order_id}
        with self._database.write() as statements:
            if not statements.execute(mark_released, order):
                return 0
            statements.execute(put_back, order)
            return sum(line.quantity for line in _lines(statements, order_id))

    def restock(self) -> int:
        """Take in a delivery that fills every shelf up to its target; return how many units that was."""
        with self._database.write() as statements:
            delivery = statements.execute("SELECT total(target_stock - stock) AS units FROM products")
            statements.execute("UPDATE products SET stock = target_stock WHERE stock < target_stock")
        return int(delivery[0]["units"])

    def fit_boxes(self, items: Iterable[Item]) -> Packing:
        """The cheapest box for the items, or the cheapest three. Raises `UnknownProduct` or `TooBigToWrap`."""
        one_box = """
            SELECT name, price_cents FROM gift_boxes
            WHERE volume_cm3 >= :volume_cm3 ORDER BY price_cents LIMIT 1
        """
        with self._database.read() as statements:
            volume = {"volume_cm3": _volume_cm3(statements, _quantities(items))}
            if one := statements.execute(one_box, volume):
                return Packing(boxes=[one[0]["name"]], price_cents=one[0]["price_cents"])
            three = statements.execute(THREE_BOXES, volume)
        if not three:
            raise TooBigToWrap(f"{volume['volume_cm3']} cm3")
        *boxes, price_cents = three[0]
        return Packing(boxes=boxes, price_cents=price_cents)

    def close(self) -> None:
        """Close the file."""
        self._database.close()


class SlowableDatabase(Database):
    """The file, with the place where the fault `slow-database` is planted."""

    def __init__(self, path: Path, *, faults: Switchboard) -> None:
        self._faults = faults
        super().__init__(path, schema=SCHEMA)

    def _connect(self) -> sqlite3.Connection:
        connection = super()._connect()
        connection.set_trace_callback(self._on_statement)
        return connection

    def _on_statement(self, query: str) -> None:
        """SQLite calls this as a statement begins, and waits for it to return."""
        if query.lstrip().startswith("UPDATE products") and self._faults.is_on("slow-database"):
            time.sleep(SLOW_UPDATE_S)


def _fill(statements: Statements) -> None:
    """Put the assortment in. What is there already stays as it is."""
    articles = [article._asdict() for article in ARTICLES]
    add_product = """
        INSERT OR IGNORE INTO products
        VALUES (:id, :name, :category, :price_cents, :volume_cm3, :target_stock, :target_stock)
    """
    add_box = "INSERT OR IGNORE INTO gift_boxes VALUES (:name, :volume_cm3, :price_cents)"
    statements.execute_many(add_product, articles)
    statements.execute_many(add_box, [box._asdict() for box in gift_boxes()])


def _open_reservation(statements: Statements, order_id: str) -> str | None:
    """Note that an order reserves; return the state it had before, if any."""
    order = {"order_id": order_id}
    rows = statements.execute("SELECT state FROM reservations WHERE order_id = :order_id", order)
    if rows:
        return str(rows[0]["state"])
    statements.execute("INSERT INTO reservations (order_id, state) VALUES (:order_id, 'reserved')", order)
    return None


def _take(statements: Statements, order_id: str, quantities: Mapping[str, int]) -> list[Line]:
    taken = statements.execute(TAKE_STOCK, {"quantities": json.dumps(quantities)})
    if missing := quantities.keys() - {row["id"] for row in taken}:
        raise _why_missing(statements, missing)
    lines = [
        Line(
            product_id=row["id"],
            name=row["name"],
            quantity=quantities[row["id"]],
            unit_cents=row["price_cents"],
        )
        for row in sorted(taken, key=lambda row: str(row["id"]))
    ]
    statements.execute_many(
        "INSERT INTO reservation_lines VALUES (:order_id, :product_id, :name, :quantity, :unit_cents)",
        [{"order_id": order_id, **line.model_dump()} for line in lines],
    )
    return lines


def _why_missing(statements: Statements, product_ids: Iterable[str]) -> Exception:
    query = "SELECT id FROM products WHERE id IN (SELECT value FROM json_each(:ids))"
    known = {row["id"] for row in statements.execute(query, {"ids": json.dumps(sorted(product_ids))})}
    if unknown := sorted(set(product_ids) - known):
        return UnknownProduct(", ".join(unknown))
    return OutOfStock(", ".join(sorted(known)))


def _lines(statements: Statements, order_id: str) -> list[Line]:
    query = "SELECT * FROM reservation_lines WHERE order_id = :order_id ORDER BY product_id"
    return [Line(**row) for row in statements.execute(query, {"order_id": order_id})]


def _volume_cm3(statements: Statements, quantities: Mapping[str, int]) -> int:
    query = """
        SELECT products.id, volume_cm3 * wanted.value AS volume_cm3
        FROM products JOIN json_each(:quantities) AS wanted ON products.id = wanted.key
    """
    volumes = {
        row["id"]: row["volume_cm3"] for row in statements.execute(query, {"quantities": json.dumps(quantities)})
    }
    if unknown := sorted(quantities.keys() - volumes):
        raise UnknownProduct(", ".join(unknown))
    return sum(volumes.values())


def _quantities(items: Iterable[Item]) -> Mapping[str, int]:
    """Units of each product: one that is listed twice counts once, with both quantities."""
    quantities: Counter[str] = Counter()
    for item in items:
        quantities[item.product_id] += item.quantity
    return quantities
