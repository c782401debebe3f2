"""What each user looked at last, in SQLite."""

from pathlib import Path

from clew_demo.sqlite import Database

SCHEMA = """
CREATE TABLE IF NOT EXISTS views (
    user TEXT NOT NULL,
    product_id TEXT NOT NULL,
    seen_s REAL NOT NULL,
    PRIMARY KEY (user, product_id)
) STRICT, WITHOUT ROWID;
"""


class Views:
    """Product pages that users saw: a row for each product a user knows, so it does not grow with traffic."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path, schema=SCHEMA)

    def add(self, user: str, product_id: str, *, seen_s: float, limit: int) -> list[str]:
        """Note a view; return the products the user saw before it, latest first."""
        note = """
            INSERT INTO views VALUES (:user, :product_id, :seen_s)
            ON CONFLICT DO UPDATE SET seen_s = excluded.seen_s
        """
        before = """
            SELECT product_id FROM views WHERE user = :user AND product_id <> :product_id
            ORDER BY seen_s DESC LIMIT :limit
        """
        row = {"user": user, "product_id": product_id}
        with self._database.write() as statements:
            statements.execute(note, {**row, "seen_s": seen_s})
            return [seen["product_id"] for seen in statements.execute(before, {**row, "limit": limit})]

    def close(self) -> None:
        """Close the file."""
        self._database.close()
