"""What the notifications service is asked for."""

from typing import Literal

from pydantic import BaseModel, Field

Status = Literal["pending", "sent", "failed"]


class Requested(BaseModel):
    """`notification.requested`: tell a user about an order."""

    notification_id: str = Field(pattern=r"^[\w.-]{1,80}$")
    order_id: str
    user: str = Field(pattern=r"^[\w.-]{1,64}$")
    template: str
