"""The news that shipping listens to, as far as it matters here."""

from pydantic import BaseModel, Field


class Line(BaseModel):
    """Some units of one product."""

    product_id: str
    quantity: int = Field(ge=1)


class OrderPaid(BaseModel):
    """`order.paid`: the things can go out."""

    order_id: str
    lines: list[Line] = Field(min_length=1)

    @property
    def units(self) -> int:
        """How many things there are."""
        return sum(line.quantity for line in self.lines)


class OrderCancelled(BaseModel):
    """`order.cancelled`: they must not, or must come back."""

    order_id: str
