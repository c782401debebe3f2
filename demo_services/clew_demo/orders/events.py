"""What can happen to an order. Its events are the truth; how far it came follows from them, by pure functions."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from clew_demo.orders.models import Order, State

Name = Literal["placed", "reserved", "paid", "shipped", "notified", "cancelling", "failed"]

HAPPENS_IN: Mapping[Name, tuple[State | None, ...]] = {
    "placed": (None,),
    "reserved": ("pending",),
    "paid": ("pending",),
    "shipped": ("paid",),
    "notified": ("shipped",),
    "cancelling": ("pending", "paid"),
    "failed": ("cancelling",),
}
"""The states in which an event can happen. From `cancelling` on an order can only fail."""

STATE_AFTER: Mapping[Name, State] = {
    "placed": "pending",
    "paid": "paid",
    "shipped": "shipped",
    "cancelling": "cancelling",
    "failed": "failed",
}
"""The state that an event leads to, where it leads to another one."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that has happened to an order.

    Bodies: placed {user, correlation_id}, reserved {lines, total_cents}, shipped {tracking}, notified {status},
    cancelling {reason}; of the others empty.
    """

    name: Name
    body: Mapping[str, Any] = field(default_factory=dict)


class NotPossible(Exception):
    """An order is not in a state in which this can happen."""


def apply(order: Order | None, event: Event, *, order_id: str) -> Order:
    """An order after one more event. Raises `NotPossible`."""
    if (order.state if order else None) not in HAPPENS_IN[event.name]:
        raise NotPossible(f"order {order_id} is {order.state if order else 'unknown'}: {event.name} cannot happen")
    # An event's fields are an order's fields, but for the news of the customer's notification.
    changes: dict[str, Any] = {"notification": event.body["status"]} if event.name == "notified" else {**event.body}
    if event.name in STATE_AFTER:
        changes["state"] = STATE_AFTER[event.name]
    if event.name == "shipped":
        changes["notification"] = "requested"
    before = order.model_dump() if order else {"id": order_id}
    return Order.model_validate(before | changes | {"version": order.version + 1 if order else 1})


def fold(order_id: str, events: Iterable[Event]) -> Order | None:
    """An order after all that has happened to it; None if nothing has. Raises `NotPossible`."""
    order: Order | None = None
    for event in events:
        order = apply(order, event, order_id=order_id)
    return order
