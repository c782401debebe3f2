"""Payments in SQLite: one an order, in a state that only ever moves forward."""

from pathlib import Path

from clew_demo.payments.models import Charge, Payment, State
from clew_demo.sqlite import Database

SCHEMA = """
CREATE TABLE IF NOT EXISTS payments (
    order_id TEXT PRIMARY KEY,
    amount_cents INTEGER NOT NULL,
    card_last4 TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'captured', 'declined', 'failed', 'voided'))
) STRICT;
"""


class Payments:
    """The payments that were asked for."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path, schema=SCHEMA)

    def find(self, order_id: str) -> Payment | None:
        """The payment of an order."""
        query = "SELECT * FROM payments WHERE order_id = :order_id"
        with self._database.read() as statements:
            rows = statements.execute(query, {"order_id": order_id})
        return Payment(**rows[0]) if rows else None

    def open(self, charge: Charge) -> bool:
        """Note a payment as pending; false if the order has one already."""
        query = """
            INSERT INTO payments VALUES (:order_id, :amount_cents, :card_last4, 'pending')
            ON CONFLICT DO NOTHING RETURNING order_id
        """
        row = {
            "order_id": charge.order_id,
            "amount_cents": charge.amount_cents,
            "card_last4": charge.card[-4:],
        }
        with self._database.write() as statements:
            return bool(statements.execute(query, row))

    def settle(self, order_id: str, state: State) -> bool:
        """Move a pending payment on; false if it was voided meanwhile."""
        query = """
            UPDATE payments SET state = :state
            WHERE order_id = :order_id AND state = 'pending' RETURNING order_id
        """
        with self._database.write() as statements:
            return bool(statements.execute(query, {"order_id": order_id, "state": state}))

    def void(self, order_id: str) -> Payment | None:
        """Cancel the payment of an order, even before it has come; return what it was before."""
        query = """
            INSERT INTO payments VALUES (:order_id, 0, '', 'voided')
            ON CONFLICT (order_id) DO UPDATE SET state = 'voided' WHERE state IN ('pending', 'captured')
        """
        with self._database.write() as statements:
            before = statements.execute("SELECT * FROM payments WHERE order_id = :id", {"id": order_id})
            statements.execute(query, {"order_id": order_id})
        return Payment(**before[0]) if before else None

    def close(self) -> None:
        """Close the file."""
        self._database.close()
