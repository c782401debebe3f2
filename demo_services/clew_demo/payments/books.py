"""What the card providers have charged: the books of other companies, kept where a test can add them up."""

from pathlib import Path

from opentelemetry import trace

from clew_demo.sqlite import Database

SCHEMA = """
CREATE TABLE IF NOT EXISTS charges (
    provider TEXT NOT NULL,
    order_id TEXT NOT NULL,
    amount_cents INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('charged', 'voided')),
    PRIMARY KEY (provider, order_id)
) STRICT, WITHOUT ROWID;
"""


class Books:
    """Charges by provider and order. What happens in here is in none of our traces, as it is with real providers."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path, schema=SCHEMA)

    def charge(self, provider: str, order_id: str, amount_cents: int) -> bool:
        """Take the money of an order, once; false if that order was voided before."""
        query = """
            INSERT INTO charges VALUES (:provider, :order_id, :amount_cents, 'charged')
            ON CONFLICT (provider, order_id) DO UPDATE SET state = state RETURNING state
        """
        row = {"provider": provider, "order_id": order_id, "amount_cents": amount_cents}
        with trace.use_span(trace.INVALID_SPAN), self._database.write() as statements:
            return bool(statements.execute(query, row)[0]["state"] == "charged")

    def void(self, provider: str, order_id: str) -> None:
        """Give the money of an order back, and take none for it later."""
        query = """
            INSERT INTO charges VALUES (:provider, :order_id, 0, 'voided')
            ON CONFLICT (provider, order_id) DO UPDATE SET state = 'voided'
        """
        with trace.use_span(trace.INVALID_SPAN), self._database.write() as statements:
            statements.execute(query, {"provider": provider, "order_id": order_id})

    def balance_cents(self, provider: str | None = None) -> int:
        """Money that was taken and not given back, by one provider or by all of them."""
        query = """
            SELECT total(amount_cents) AS cents FROM charges
            WHERE state = 'charged' AND (:provider IS NULL OR provider = :provider)
        """
        with trace.use_span(trace.INVALID_SPAN), self._database.read() as statements:
            return int(statements.execute(query, {"provider": provider})[0]["cents"])

    def close(self) -> None:
        """Close the file."""
        self._database.close()
