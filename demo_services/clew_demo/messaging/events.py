"""What the shop's services tell each other, and who listens to what."""

from dataclasses import dataclass
from typing import Any

EXCHANGE = "shop.events"
"""A topic exchange: who sends names what has happened, and does not know who listens."""

QUEUES = {
    "shipping.events": ("order.paid", "order.cancelled"),
    "accounts.events": ("order.paid", "order.cancelled"),
    "orders.events": ("shipment.booked", "shipment.refused"),
    "notifications.requests": ("notification.requested",),
    "notifications.replies": ("notification.settled",),
}
"""Each queue, and the names of the messages that go into it.

    order.paid              order_id, user, total_cents, lines: [{product_id, quantity}]
    order.cancelled         order_id, user, reason
    order.shipped           order_id, user, tracking
    shipment.booked         order_id, tracking
    shipment.refused        order_id, reason
    notification.requested  notification_id, order_id, user, template
    notification.settled    notification_id, order_id, status: "sent" or "failed"
"""


@dataclass(frozen=True, slots=True)
class Message:
    """One piece of news, or one request that wants a reply."""

    id: str
    """The same each time it is delivered, so that a receiver can tell."""

    name: str
    body: dict[str, Any]
    attempt: int = 1
    reply_to: str | None = None
    """The queue that an answer should go to."""


def dead_letter_queue(queue: str) -> str:
    """Where a message of a queue ends that could not be processed."""
    return f"{queue}.dead"
