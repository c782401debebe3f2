"""Orders in SQLite. An order that a crash left half-way can be found and called off later."""

import json
from pathlib import Path

from clew_demo.orders.models import Line, Order
from clew_demo.sqlite import Database

SCHEMA = """
CREATE TABLE IF NOT EXISTS orders (
    id TEXT PRIMARY KEY,
    idempotency_key TEXT UNIQUE,
    user TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'confirmed', 'cancelling', 'failed')),
    total_cents INTEGER NOT NULL DEFAULT 0,
    lines TEXT NOT NULL DEFAULT '[]',
    reason TEXT NOT NULL DEFAULT '',
    correlation_id TEXT,
    created_s REAL NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS orders_unfinished ON orders (created_s) WHERE state IN ('pending', 'cancelling');
"""


class Orders:
    """All orders. A method that moves an order on does nothing if it is not in the state to leave."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path, schema=SCHEMA)

    def create(self, order: Order, *, idempotency_key: str | None, created_s: float) -> Order:
        """Keep a new order, or find the one that the same key made before."""
        query = """
            INSERT INTO orders (id, idempotency_key, user, state, correlation_id, created_s)
            VALUES (:id, :key, :user, :state, :correlation_id, :created_s)
            ON CONFLICT (idempotency_key) DO NOTHING RETURNING id
        """
        row = order.model_dump(include={"id", "user", "state", "correlation_id"})
        with self._database.write() as statements:
            if statements.execute(query, {**row, "key": idempotency_key, "created_s": created_s}):
                return order
            same = statements.execute("SELECT * FROM orders WHERE idempotency_key = :key", {"key": idempotency_key})
            return _order(**same[0])

    def find(self, order_id: str) -> Order | None:
        """One order."""
        with self._database.read() as statements:
            rows = statements.execute("SELECT * FROM orders WHERE id = :id", {"id": order_id})
        return _order(**rows[0]) if rows else None

    def confirm(self, order: Order) -> bool:
        """Mark a pending order paid; false if it was called off meanwhile."""
        query = """
            UPDATE orders SET state = 'confirmed', total_cents = :total_cents, lines = :lines
            WHERE id = :id AND state = 'pending' RETURNING id
        """
        lines = json.dumps([line.model_dump() for line in order.lines])
        row = {"id": order.id, "total_cents": order.total_cents, "lines": lines}
        with self._database.write() as statements:
            return bool(statements.execute(query, row))

    def start_cancelling(self, order_id: str, *, reason: str) -> bool:
        """Call an unfinished order off: from now on it can only fail; false if it is finished."""
        query = """
            UPDATE orders SET state = 'cancelling', reason = :reason
            WHERE id = :id AND state IN ('pending', 'cancelling') RETURNING id
        """
        with self._database.write() as statements:
            return bool(statements.execute(query, {"id": order_id, "reason": reason}))

    def finish_cancelling(self, order_id: str) -> None:
        """Note that neither stock nor money is held for the order any more."""
        query = "UPDATE orders SET state = 'failed' WHERE id = :id AND state = 'cancelling'"
        with self._database.write() as statements:
            statements.execute(query, {"id": order_id})

    def unfinished(self, *, before_s: float) -> list[Order]:
        """Orders from before a time that are neither confirmed nor failed, oldest first."""
        query = """
            SELECT * FROM orders WHERE state IN ('pending', 'cancelling') AND created_s < :before_s
            ORDER BY created_s LIMIT 100
        """
        with self._database.read() as statements:
            return [_order(**row) for row in statements.execute(query, {"before_s": before_s})]

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def _order(*, lines: str, **row: str) -> Order:
    return Order.model_validate({**row, "lines": [Line(**line) for line in json.loads(lines)]})
