"""Orders in SQLite: what has happened to each, what is still to be told to others, and how far each came."""

import time
from collections.abc import Callable
from pathlib import Path

from clew_demo.messaging.inbox import Inbox
from clew_demo.messaging.outbox import Outbox
from clew_demo.orders import event_store, read_model
from clew_demo.orders.announcements import announcements
from clew_demo.orders.events import Event, apply, fold
from clew_demo.orders.models import Order
from clew_demo.orders.read_model import ReadModel
from clew_demo.sqlite import Database, Statements

SCHEMA = event_store.SCHEMA + read_model.SCHEMA + Outbox.SCHEMA + Inbox.SCHEMA


class Orders:
    """All orders. Each event is kept in one transaction with the messages that tell others of it."""

    def __init__(self, path: Path, *, now_s: Callable[[], float] = time.time) -> None:
        self.database = Database(path, schema=SCHEMA)
        self.read_model = ReadModel(self.database)
        self.read_model.catch_up()  # with what was kept, but not projected, when the process was killed
        self._now_s = now_s

    def place(self, order: Order, *, idempotency_key: str | None) -> Order:
        """Keep a new order, or find the one that the same key placed before."""
        with self.database.write() as statements:
            if idempotency_key is not None:
                order_id = event_store.claim_key(statements, idempotency_key, order.id)
                if before := fold(order_id, event_store.events_of(statements, order_id)):
                    return before
            body = {"user": order.user, "correlation_id": order.correlation_id}
            placed = self._append(statements, None, Event("placed", body), order_id=order.id)
        self.read_model.catch_up()
        return placed

    def record(self, order: Order, event: Event) -> Order:
        """The order after one more event. Raises `Conflict` if it is not any more as it was seen, or `NotPossible`."""
        with self.database.write() as statements:
            after = self._append(statements, order, event, order_id=order.id)
        self.read_model.catch_up()
        return after

    def record_news(self, message_id: str, order_id: str, event: Event) -> Order | None:
        """As `record`, for an event that a message brings; None if it has brought it before. Raises `KeyError`."""
        with self.database.write() as statements:
            if not Inbox.is_new(statements, message_id):
                return None
            order = fold(order_id, event_store.events_of(statements, order_id))
            if order is None:
                raise KeyError(order_id)
            after = self._append(statements, order, event, order_id=order_id)
        self.read_model.catch_up()
        return after

    def load(self, order_id: str) -> Order | None:
        """One order by its events: the truth, where `find` may be a moment behind."""
        with self.database.read() as statements:
            return fold(order_id, event_store.events_of(statements, order_id))

    def find(self, order_id: str) -> Order | None:
        """One order in the read model."""
        return self.read_model.find(order_id)

    def unfinished(self, *, older_than_s: float) -> list[Order]:
        """Orders of some age that are still pending or cancelling, oldest first."""
        return self.read_model.unfinished(before_s=self._now_s() - older_than_s)

    def headers_of(self, order: Order) -> dict[str, str]:
        """The headers of the request that placed an order."""
        with self.database.read() as statements:
            return event_store.first_headers_of(statements, order.id)

    def close(self) -> None:
        """Close the file."""
        self.database.close()

    def _append(self, statements: Statements, before: Order | None, event: Event, *, order_id: str) -> Order:
        after = apply(before, event, order_id=order_id)
        event_store.append(statements, order_id, event, version=after.version, at_s=self._now_s())
        for announcement in announcements(before, after):
            Outbox.add(statements, announcement.name, announcement.body, reply_to=announcement.reply_to)
        return after
