"""What other services tell about orders: shipments that are booked or refused, customers who were told."""

from collections.abc import Callable

import structlog

from clew_demo.faults.switchboard import Switchboard
from clew_demo.messaging.consumer import Reject
from clew_demo.messaging.events import Message
from clew_demo.orders.database import Orders
from clew_demo.orders.events import Event, NotPossible
from clew_demo.orders.models import Order

log = structlog.get_logger()


class News:
    """Takes messages, each with effect once. An order that must be undone is handed to `undo`, which must not block."""

    def __init__(self, orders: Orders, *, undo: Callable[[Order], None], faults: Switchboard) -> None:
        self._orders = orders
        self._undo = undo
        self._faults = faults

    def take_shipment(self, message: Message) -> None:
        """A message of `orders.events`: an order goes on, or back."""
        if self._faults.is_on("saga-stuck"):
            return
        match message.name:
            case "shipment.booked":
                event = Event("shipped", {"tracking": str(message.body["tracking"])})
            case "shipment.refused":
                event = Event("cancelling", {"reason": str(message.body["reason"])})
            case _:
                raise Reject(f"no news of a shipment: {message.name}")
        order = self._record(message, event)
        if order is None:
            return
        if order.state == "cancelling":
            log.warning("order failed", order_id=order.id, reason=order.reason)
            self._undo(order)
        else:
            log.info("order shipped", order_id=order.id, tracking=order.tracking)

    def take_notification(self, message: Message) -> None:
        """A message of `notifications.replies`: whether the customer was told."""
        order = self._record(message, Event("notified", {"status": str(message.body["status"])}))
        if order is not None:
            log.info("notification settled", order_id=order.id, status=order.notification)

    def _record(self, message: Message, event: Event) -> Order | None:
        order_id = str(message.body["order_id"])
        try:
            order = self._orders.record_news(message.id, order_id, event)
        except KeyError as error:
            raise Reject(f"there is no order {order_id}") from error
        except NotPossible as error:
            log.warning("news came too late", order_id=order_id, message_name=message.name, reason=str(error))
            return None
        if order is None:
            log.info("message was processed before", order_id=order_id, message_id=message.id)
        return order
