"""What the orders service tells the others: it follows from what has happened to an order."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from clew_demo.orders.models import Order

REPLIES = "notifications.replies"


@dataclass(frozen=True, slots=True)
class Announcement:
    """A message to be sent."""

    name: str
    body: dict[str, Any]
    reply_to: str | None = None


def announcements(before: Order | None, after: Order) -> Iterator[Announcement]:
    """The messages about one event, from the order before and after it."""
    was, about = before.state if before else None, {"order_id": after.id, "user": after.user}
    match was, after.state:
        case "pending", "paid":
            lines = [{"product_id": line.product_id, "quantity": line.quantity} for line in after.lines]
            yield Announcement("order.paid", {**about, "total_cents": after.total_cents, "lines": lines})
        case "paid", "shipped":
            yield Announcement("order.shipped", {**about, "tracking": after.tracking})
            notification = {"notification_id": f"n-{after.id}", "template": "order-shipped"}
            yield Announcement("notification.requested", {**notification, **about}, reply_to=REPLIES)
        case "paid", "cancelling":
            # An order that was called off before it was paid has never been announced.
            yield Announcement("order.cancelled", {**about, "reason": after.reason})
