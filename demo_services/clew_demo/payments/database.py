"""Payments in SQLite: one an order, in a state that only ever moves forward, and who was asked for its money.

A provider is noted before it is asked. Whatever happens then, also the end of this process, it is known where money may
have been taken that nobody is to keep: there the charge is `void_due` until the provider has undone it.
"""

from pathlib import Path
from typing import Literal, NamedTuple

from clew_demo.payments.models import Charge, Payment, State
from clew_demo.sqlite import Database

SCHEMA = """
CREATE TABLE IF NOT EXISTS payments (
    order_id TEXT PRIMARY KEY,
    amount_cents INTEGER NOT NULL,
    card_last4 TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'captured', 'declined', 'failed', 'voided'))
) STRICT;
CREATE TABLE IF NOT EXISTS attempts (
    order_id TEXT NOT NULL,
    provider TEXT NOT NULL,
    correlation_id TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('asked', 'charged', 'refused', 'void_due', 'voided')),
    PRIMARY KEY (order_id, provider)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS attempts_due ON attempts (state) WHERE state = 'void_due';
"""

AttemptState = Literal["refused", "void_due", "voided"]


class Attempt(NamedTuple):
    """An order's charge at one provider."""

    order_id: str
    provider: str
    correlation_id: str
    """Of the request that charged: what is done for it later is found under this ID."""


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

    def ask(self, attempt: Attempt) -> bool:
        """Note that a provider is going to be asked; false if the payment was voided meanwhile."""
        query = """
            INSERT INTO attempts SELECT order_id, :provider, :correlation_id, 'asked' FROM payments
            WHERE order_id = :order_id AND state = 'pending'
            ON CONFLICT DO UPDATE SET state = 'asked' RETURNING order_id
        """
        with self._database.write() as statements:
            return bool(statements.execute(query, attempt._asdict()))

    def note(self, attempt: Attempt, state: AttemptState) -> None:
        """Note how a provider answered. A void that is due stays so until it is done."""
        query = """
            UPDATE attempts SET state = :state
            WHERE order_id = :order_id AND provider = :provider AND (state <> 'void_due' OR :state = 'voided')
        """
        with self._database.write() as statements:
            statements.execute(query, {**attempt._asdict(), "state": state})

    def capture(self, attempt: Attempt) -> bool:
        """Finish a pending payment with the money of one provider; false if it was voided meanwhile."""
        capture = """
            UPDATE payments SET state = 'captured'
            WHERE order_id = :order_id AND state = 'pending' RETURNING order_id
        """
        keep = "UPDATE attempts SET state = 'charged' WHERE order_id = :order_id AND provider = :provider"
        with self._database.write() as statements:
            if not statements.execute(capture, {"order_id": attempt.order_id}):
                return False
            statements.execute(keep, attempt._asdict())
        return True

    def settle(self, order_id: str, state: State) -> None:
        """End a pending payment without money."""
        query = "UPDATE payments SET state = :state WHERE order_id = :order_id AND state = 'pending'"
        with self._database.write() as statements:
            statements.execute(query, {"order_id": order_id, "state": state})

    def void(self, order_id: str) -> Payment | None:
        """Cancel the payment of an order, even before it has come; return what it was before."""
        cancel = """
            INSERT INTO payments VALUES (:order_id, 0, '', 'voided')
            ON CONFLICT (order_id) DO UPDATE SET state = 'voided' WHERE state IN ('pending', 'captured')
        """
        give_back = """
            UPDATE attempts SET state = 'void_due' WHERE order_id = :order_id AND state IN ('asked', 'charged')
        """
        order = {"order_id": order_id}
        with self._database.write() as statements:
            before = statements.execute("SELECT * FROM payments WHERE order_id = :order_id", order)
            statements.execute(cancel, order)
            statements.execute(give_back, order)
        return Payment(**before[0]) if before else None

    def abandon_unfinished(self) -> int:
        """Fail what a process that has ended left half-way; return how many payments that was."""
        give_back = """
            UPDATE attempts SET state = 'void_due'
            WHERE state = 'asked' AND order_id IN (SELECT order_id FROM payments WHERE state = 'pending')
        """
        with self._database.write() as statements:
            statements.execute(give_back)
            query = "UPDATE payments SET state = 'failed' WHERE state = 'pending' RETURNING order_id"
            return len(statements.execute(query))

    def voids_due(self, order_id: str | None = None) -> list[Attempt]:
        """Charges that are still to be undone at their providers: all, or those of one order."""
        query = """
            SELECT order_id, provider, correlation_id FROM attempts
            WHERE state = 'void_due' AND (:order_id IS NULL OR order_id = :order_id)
        """
        with self._database.read() as statements:
            return [Attempt(**row) for row in statements.execute(query, {"order_id": order_id})]

    def close(self) -> None:
        """Close the file."""
        self._database.close()
