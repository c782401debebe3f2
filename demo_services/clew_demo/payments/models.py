"""What the payments service takes, and what it remembers."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

State = Literal["pending", "captured", "declined", "failed", "voided"]


class Charge(BaseModel):
    """Money to take from a card for an order."""

    model_config = ConfigDict(extra="forbid")

    order_id: str
    amount_cents: int = Field(gt=0)
    card: str = Field(pattern=r"^\d{12,19}$")


class Payment(BaseModel):
    """The one payment of an order, and what became of it."""

    order_id: str
    amount_cents: int
    card_last4: str
    state: State
