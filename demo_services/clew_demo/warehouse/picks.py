"""What is to be fetched from the shelves: one pick an order, in SQLite."""

import json
import sqlite3
import threading
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from clew_demo.assortment import ARTICLES

SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS picks (order_id TEXT PRIMARY KEY, pick_id TEXT NOT NULL, lines TEXT NOT NULL) STRICT;
"""
SHELVES = {article.id: f"{article.category[0].upper()}{number:02}" for number, article in enumerate(ARTICLES)}
"""Where each product lies."""


@dataclass(frozen=True, slots=True)
class Line:
    """Some units of one product."""

    product_id: str
    quantity: int


class Picks:
    """The picks, safe from any thread."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.executescript(SCHEMA)
        self._lock = threading.Lock()

    def add(self, order_id: str, lines: Iterable[Line]) -> str:
        """Pick an order's lines, or find it picked; the ID of the pick. Raises `KeyError` for an unknown product."""
        walk = [{"shelf": SHELVES[line.product_id], "quantity": line.quantity} for line in lines]
        values = (order_id, f"pick-{uuid4().hex[:12]}", json.dumps(walk))
        # An update of nothing, since only a row that is written is returned.
        query = "INSERT INTO picks VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET lines = lines RETURNING pick_id"
        return str(self._rows(query, values)[0][0])

    def put_back(self, order_id: str) -> bool:
        """Undo a pick; false if there is none."""
        return bool(self._rows("DELETE FROM picks WHERE order_id = ? RETURNING pick_id", (order_id,)))

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _rows(self, query: str, values: tuple[str, ...]) -> list[tuple[object, ...]]:
        with self._lock, closing(self._connection.execute(query, values)) as cursor:
            return cursor.fetchall()
