"""What accounts does about news of orders: so no points are lost when the gateway ends between pay and earn."""

import structlog
from pydantic import ValidationError

from clew_demo.accounts.ledger import Ledger
from clew_demo.accounts.models import Cancellation, Purchase
from clew_demo.messaging.consumer import Reject
from clew_demo.messaging.events import Message

QUEUE = "accounts.events"

log = structlog.get_logger()


class OrderNews:
    """Books the messages of `accounts.events`. Twice is as once, in any order."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def handle(self, message: Message) -> None:
        """Book one message. Raises `Reject` for one that says nothing about points."""
        try:
            self._book(message)
        except ValidationError as error:
            raise Reject(f"{message.name} with {error.error_count()} wrong fields") from error

    def _book(self, message: Message) -> None:
        match message.name:
            case "order.paid":
                purchase = Purchase.model_validate(message.body)
                earned = self._ledger.earn(purchase, message_id=message.id)
                log.info("points confirmed", order_id=purchase.order_id, points=earned.points_earned)
            case "order.cancelled":
                cancellation = Cancellation.model_validate(message.body)
                points = self._ledger.take_back(cancellation, message_id=message.id)
                log.info("points taken back", order_id=cancellation.order_id, points=points)
            case _:
                raise Reject(f"{message.name} is not for accounts")
