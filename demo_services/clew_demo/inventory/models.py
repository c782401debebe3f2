"""What the inventory service takes and gives as JSON."""

from pydantic import BaseModel, Field


class Product(BaseModel):
    """Something for sale."""

    id: str
    name: str
    category: str
    price_cents: int
    volume_cm3: int


class Availability(BaseModel):
    """How many of a product can be reserved now."""

    product_id: str
    available: int


class Item(BaseModel):
    """A product and how many of it."""

    product_id: str
    quantity: int = Field(ge=1, le=100)


class ReservationRequest(BaseModel):
    """Stock to set aside for an order: all of it or none."""

    order_id: str
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


class Release(BaseModel):
    """Stock that went back on the shelf."""

    order_id: str
    units: int


class PackingRequest(BaseModel):
    """Items that want to be gift-wrapped together."""

    items: list[Item] = Field(min_length=1)


class Packing(BaseModel):
    """The cheapest gift boxes that hold a basket."""

    boxes: list[str]
    price_cents: int


class Restock(BaseModel):
    """Units that came in from suppliers."""

    units: int
