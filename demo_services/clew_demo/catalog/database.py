"""The products, in SQLite. Each instance of the catalog has a file of its own, and they all say the same."""

from pathlib import Path

from clew_demo.assortment import ARTICLES
from clew_demo.catalog.models import Product
from clew_demo.faults.switchboard import Switchboard
from clew_demo.sqlite import Database, Statements

RELATED = 4

SCHEMA = """
CREATE TABLE IF NOT EXISTS products (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    category TEXT NOT NULL,
    price_cents INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""
COLUMNS = "id, name, category, price_cents"


class Products:
    """All that is sold, filled from the assortment when it is opened. Calls block."""

    def __init__(self, path: Path, *, faults: Switchboard) -> None:
        self._faults = faults
        self._database = Database(path, schema=SCHEMA)
        fill = "INSERT OR REPLACE INTO products VALUES (:id, :name, :category, :price_cents)"
        rows = [article._asdict() for article in ARTICLES]
        with self._database.write() as statements:
            statements.execute_many(fill, rows)

    def all(self) -> list[Product]:
        """Every product, by category and price."""
        with self._database.read() as statements:
            if self._faults.is_on("n-plus-one"):
                return _one_by_one(statements)
            query = f"SELECT {COLUMNS} FROM products ORDER BY category, price_cents"
            return [Product(**row) for row in statements.execute(query)]

    def find(self, product_id: str) -> Product | None:
        """One product, if there is such a one."""
        with self._database.read() as statements:
            return _find(statements, product_id)

    def related(self, product_id: str) -> list[Product]:
        """A few products of the same category, nearest in price first."""
        query = f"""
            SELECT other.* FROM products AS other JOIN products AS this ON this.category = other.category
            WHERE this.id = :id AND other.id <> :id
            ORDER BY abs(other.price_cents - this.price_cents) LIMIT {RELATED}
        """
        with self._database.read() as statements:
            return [Product(**row) for row in statements.execute(query, {"id": product_id})]

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def _one_by_one(statements: Statements) -> list[Product]:
    """The fault `n-plus-one`: as object mappers do it when nobody looks."""
    rows = statements.execute("SELECT id FROM products ORDER BY category, price_cents")
    found = (_find(statements, row["id"]) for row in rows)
    return [product for product in found if product is not None]


def _find(statements: Statements, product_id: str) -> Product | None:
    rows = statements.execute(f"SELECT {COLUMNS} FROM products WHERE id = :id", {"id": product_id})
    return Product(**rows[0]) if rows else None
