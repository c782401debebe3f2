"""All orders as they are now, projected from the events, to be looked up quickly; it can be thrown away and rebuilt."""

import json
import sqlite3

from clew_demo.orders.event_store import as_event
from clew_demo.orders.events import apply
from clew_demo.orders.models import Order
from clew_demo.sqlite import Database, Statements

SCHEMA = """
CREATE TABLE IF NOT EXISTS orders (
    id TEXT PRIMARY KEY,
    user TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'paid', 'shipped', 'cancelling', 'failed')),
    total_cents INTEGER NOT NULL,
    lines TEXT NOT NULL,
    reason TEXT NOT NULL,
    correlation_id TEXT,
    tracking TEXT NOT NULL,
    notification TEXT NOT NULL,
    version INTEGER NOT NULL,
    created_s REAL NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS orders_unfinished ON orders (created_s) WHERE state IN ('pending', 'cancelling');
CREATE TABLE IF NOT EXISTS projections (name TEXT PRIMARY KEY, position INTEGER NOT NULL) STRICT;
"""
BATCH = 500


class ReadModel:
    """What reading requests are answered from. It is behind the events for the moment until `catch_up`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def catch_up(self) -> None:
        """Project the events since the last time. Twice is safe, from several threads, too."""
        with self._database.write() as statements:
            while _project_batch(statements):
                pass

    def rebuild(self) -> None:
        """Forget everything and project all events again; readers see the old until the new is there."""
        with self._database.write() as statements:
            statements.execute("DELETE FROM orders")
            statements.execute("DELETE FROM projections WHERE name = 'orders'")
            while _project_batch(statements):
                pass

    def find(self, order_id: str) -> Order | None:
        """One order."""
        with self._database.read() as statements:
            return _find(statements, order_id)

    def unfinished(self, *, before_s: float) -> list[Order]:
        """Orders from before a time that somebody should finish: neither paid nor failed; oldest first."""
        query = """
            SELECT * FROM orders WHERE state IN ('pending', 'cancelling') AND created_s < :before_s
            ORDER BY created_s LIMIT 100
        """
        with self._database.read() as statements:
            return [_as_order(row) for row in statements.execute(query, {"before_s": before_s})]


def _project_batch(statements: Statements) -> bool:
    """Project some events; false if there were no more."""
    query = f"""
        SELECT * FROM order_events
        WHERE position > coalesce((SELECT position FROM projections WHERE name = 'orders'), 0)
        ORDER BY position LIMIT {BATCH}
    """
    rows = statements.execute(query)
    for row in rows:
        order_id = row["order_id"]
        order = apply(_find(statements, order_id), as_event(row), order_id=order_id)
        _keep(statements, order, at_s=row["at_s"])
    if rows:
        position = "INSERT OR REPLACE INTO projections (name, position) VALUES ('orders', :position)"
        statements.execute(position, {"position": rows[-1]["position"]})
    return bool(rows)


def _keep(statements: Statements, order: Order, *, at_s: float) -> None:
    query = """
        INSERT INTO orders
        VALUES (:id, :user, :state, :total_cents, :lines, :reason, :correlation_id, :tracking, :notification,
                :version, :at_s)
        ON CONFLICT (id) DO UPDATE SET
            state = excluded.state, total_cents = excluded.total_cents, lines = excluded.lines,
            reason = excluded.reason, tracking = excluded.tracking, notification = excluded.notification,
            version = excluded.version
    """
    row = order.model_dump() | {"version": order.version, "at_s": at_s}
    statements.execute(query, {**row, "lines": json.dumps(row["lines"])})


def _find(statements: Statements, order_id: str) -> Order | None:
    rows = statements.execute("SELECT * FROM orders WHERE id = :id", {"id": order_id})
    return _as_order(rows[0]) if rows else None


def _as_order(row: sqlite3.Row) -> Order:
    return Order.model_validate({**dict(row), "lines": json.loads(row["lines"])})
