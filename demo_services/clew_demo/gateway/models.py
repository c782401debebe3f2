"""What the gateway takes as JSON; what the services behind it answer is handed on as it is."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Slug = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,64}$")]
"""A user or a product."""


class Item(BaseModel):
    """A product and how many of it."""

    model_config = ConfigDict(extra="forbid")
    product_id: Slug
    quantity: int = Field(default=1, ge=1, le=20)


class CheckoutRequest(BaseModel):
    """A basket, who buys it and which card pays."""

    model_config = ConfigDict(extra="forbid")
    user: Slug
    items: list[Item] = Field(min_length=1, max_length=50)
    card: str = Field(pattern=r"^\d{12,19}$")
    gift_wrap: bool = False


class LoginRequest(BaseModel):
    """Who logs in: this is a shop without passwords."""

    model_config = ConfigDict(extra="forbid")
    user: Slug
