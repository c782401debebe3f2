"""Shipping's part in the dance: what it does when it hears of an order, and what it says then."""

from collections.abc import Callable

import structlog
from pydantic import ValidationError

from clew_demo.messaging.consumer import Reject
from clew_demo.messaging.events import Message
from clew_demo.shipping.database import Shipments
from clew_demo.shipping.models import OrderCancelled, OrderPaid
from clew_demo.shipping.warehouse import UnknownProduct, Warehouse

MOST_UNITS = 60
"""What fits into one parcel van's cage."""

log = structlog.get_logger()


class Shipping:
    """Handles the news, in any order and as often as it comes: an order is shipped once, or not at all."""

    def __init__(self, shipments: Shipments, warehouse: Warehouse, *, new_tracking: Callable[[], str]) -> None:
        self._shipments = shipments
        self._warehouse = warehouse
        self._new_tracking = new_tracking

    def handle(self, message: Message) -> None:
        """Act on one piece of news. Raises `Reject` if it makes no sense, and whatever may go well next time."""
        try:
            match message.name:
                case "order.paid":
                    self._ship(OrderPaid.model_validate(message.body))
                case "order.cancelled":
                    self._cancel(OrderCancelled.model_validate(message.body))
                case _:
                    raise Reject(f"shipping knows no {message.name}")
        except ValidationError as error:
            raise Reject(f"not a valid {message.name}: {error.error_count()} errors") from error

    def _ship(self, order: OrderPaid) -> None:
        state = self._shipments.state(order.order_id)
        if state in ("booked", "refused"):
            log.info("shipment known already", order_id=order.order_id, state=state)
            return
        if state is None:
            try:
                self._book(order)
            except UnknownProduct as error:
                self._refuse(order, str(error))
        # Cancelled before, or while the warehouse was picking.
        if self._shipments.state(order.order_id) == "cancelled":
            self._put_back(order.order_id)

    def _book(self, order: OrderPaid) -> None:
        if order.units > MOST_UNITS:
            self._refuse(order, f"{order.units} units are more than {MOST_UNITS}")
            return
        pick_id = self._warehouse.pick(order.order_id, order.lines)
        tracking = self._new_tracking()
        if self._shipments.book(order.order_id, tracking):
            log.info("shipment booked", order_id=order.order_id, tracking=tracking, pick_id=pick_id)

    def _refuse(self, order: OrderPaid, reason: str) -> None:
        if self._shipments.refuse(order.order_id, reason):
            log.warning("shipment refused", order_id=order.order_id, reason=reason)

    def _cancel(self, order: OrderCancelled) -> None:
        # Noted first: a booking under way finds it, and puts its things back itself.
        self._shipments.cancel(order.order_id)
        self._put_back(order.order_id)

    def _put_back(self, order_id: str) -> None:
        self._warehouse.put_back(order_id)
        log.info("shipment cancelled", order_id=order_id)
