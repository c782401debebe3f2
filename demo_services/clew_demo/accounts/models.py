"""What the accounts service takes and gives as JSON."""

from typing import Annotated

from pydantic import BaseModel, Field

Name = Annotated[str, Field(pattern=r"^[\w.-]+$", max_length=64)]


class Login(BaseModel):
    """A user who wants to be known. The demo asks for no password."""

    user: Name


class IssuedToken(BaseModel):
    """A JWT that says who its bearer is."""

    token: str
    expires_in_s: int


class Purchase(BaseModel):
    """An order that was paid."""

    order_id: Name
    user: Name
    total_cents: int = Field(ge=0)


class Cancellation(BaseModel):
    """An order that was called off."""

    order_id: Name
    user: Name


class Earned(BaseModel):
    """What a purchase was worth, and what the user has now."""

    user: str
    points_earned: int
    balance: int


class Account(BaseModel):
    """A user as the shop knows them."""

    user: str
    points: int
