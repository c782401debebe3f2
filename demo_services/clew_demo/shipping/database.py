"""Shipments in SQLite: one an order, and what the others are to hear about it."""

from pathlib import Path
from typing import Literal

from clew_demo.messaging.outbox import Outbox
from clew_demo.sqlite import Database

State = Literal["booked", "refused", "cancelled"]

SCHEMA = f"""
CREATE TABLE IF NOT EXISTS shipments (
    order_id TEXT PRIMARY KEY,
    state TEXT NOT NULL CHECK (state IN ('booked', 'refused', 'cancelled')),
    tracking TEXT
) STRICT;
{Outbox.SCHEMA}
"""


class Shipments:
    """What became of each order. The first word stands; only a cancellation comes on top, or before."""

    def __init__(self, path: Path) -> None:
        self.database = Database(path, schema=SCHEMA)

    def state(self, order_id: str) -> State | None:
        """The state of an order's shipment."""
        query = "SELECT state FROM shipments WHERE order_id = :order_id"
        with self.database.read() as statements:
            rows = statements.execute(query, {"order_id": order_id})
        return rows[0]["state"] if rows else None

    def book(self, order_id: str, tracking: str) -> bool:
        """Book a shipment and have `shipment.booked` sent, both or neither; false if the order has its word."""
        return self._settle(order_id, "booked", tracking, news={"tracking": tracking})

    def refuse(self, order_id: str, reason: str) -> bool:
        """Refuse a shipment and have `shipment.refused` sent, both or neither; false if the order has its word."""
        return self._settle(order_id, "refused", None, news={"reason": reason})

    def cancel(self, order_id: str) -> None:
        """Take a shipment back, even before it was booked. Safe to repeat."""
        query = """
            INSERT INTO shipments VALUES (:order_id, 'cancelled', NULL)
            ON CONFLICT (order_id) DO UPDATE SET state = 'cancelled'
        """
        with self.database.write() as statements:
            statements.execute(query, {"order_id": order_id})

    def close(self) -> None:
        """Close the file."""
        self.database.close()

    def _settle(self, order_id: str, state: State, tracking: str | None, *, news: dict[str, str]) -> bool:
        query = """
            INSERT INTO shipments VALUES (:order_id, :state, :tracking) ON CONFLICT DO NOTHING RETURNING order_id
        """
        with self.database.write() as statements:
            if not statements.execute(query, {"order_id": order_id, "state": state, "tracking": tracking}):
                return False
            Outbox.add(statements, f"shipment.{state}", {"order_id": order_id, **news})
        return True
