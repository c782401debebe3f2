"""What the orders service takes and gives as JSON."""

from typing import Literal

from pydantic import BaseModel, Field

State = Literal["pending", "paid", "shipped", "cancelling", "failed"]
NotificationStatus = Literal["", "requested", "sent", "failed"]


class Item(BaseModel):
    """A product and how many of it."""

    product_id: str
    quantity: int = Field(ge=1, le=100)


class OrderRequest(BaseModel):
    """A basket that someone wants to pay for."""

    user: str
    items: list[Item] = Field(min_length=1)
    card: str
    gift_wrap: bool = False


class Line(BaseModel):
    """A product as it was sold."""

    product_id: str
    name: str
    quantity: int
    unit_cents: int


class Order(BaseModel):
    """An order and how far it came."""

    id: str
    user: str
    state: State
    total_cents: int = 0
    lines: list[Line] = []
    reason: str = ""
    correlation_id: str | None = None
    """The request that placed it: where to look when a customer calls."""

    tracking: str = ""
    notification: NotificationStatus = ""
    """Whether the customer has been told that it is on its way."""

    version: int = Field(default=0, exclude=True)
    """How many events have happened to it."""
