"""What the inventory service takes and gives."""

from pydantic import BaseModel, Field


class Item(BaseModel):
    """A product and how many of it."""

    product_id: str
    quantity: int = Field(ge=1, le=100)


class Basket(BaseModel):
    """What somebody wants to have, or to have wrapped: not nothing."""

    items: list[Item] = Field(min_length=1)


class Line(BaseModel):
    """A reserved product at the price of that moment."""

    product_id: str
    name: str
    quantity: int
    unit_cents: int


class Reservation(BaseModel):
    """Stock that is set aside for an order."""

    order_id: str
    lines: list[Line]
    total_cents: int


class Packing(BaseModel):
    """The cheapest gift boxes that hold a basket."""

    boxes: list[str]
    price_cents: int
