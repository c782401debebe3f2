"""What the catalog service gives as JSON."""

from pydantic import BaseModel


class Product(BaseModel):
    """An article, as a list or a page shows it."""

    id: str
    name: str
    category: str
    price_cents: int
