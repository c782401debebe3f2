import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import clew
from clew_demo.messaging.dead_letters import dead_letters
from clew_demo.messaging.events import Message
from clew_demo.messaging.publishing import publish
from clew_demo.orders.app import messaging
from clew_demo.orders.models import Order
from clew_demo.orders.news import News
from tests.demo_services.messaging.brokers import consuming
from tests.demo_services.orders.neighbours import OrdersInProcess

DEADLINE_S = 20


async def until(is_true: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while not is_true():
        assert time.monotonic() < deadline_s, "what the test waits for did not happen"
        await asyncio.sleep(0.05)


def state_of(service: OrdersInProcess, order: Order) -> str:
    found = service.orders.find(order.id)
    assert found is not None
    return found.state


def while_messaging(service: OrdersInProcess, broker_url: str, is_done: Callable[[], bool]) -> None:
    """Run the service's messaging until something is so."""

    async def run() -> None:
        async with messaging(service.checkout, broker_url=broker_url, faults=service.faults):
            await until(is_done)

    asyncio.run(run())


def booked(order: Order, *, message_id: str = "m-1") -> Message:
    return Message(message_id, "shipment.booked", {"order_id": order.id, "tracking": "T-1"})


def refused(order: Order) -> Message:
    return Message("m-2", "shipment.refused", {"order_id": order.id, "reason": "no_pick"})


def test_an_order_whose_shipment_is_booked_is_shipped_and_its_customer_told(tmp_path: Path, broker_url: str) -> None:
    service = OrdersInProcess(tmp_path)
    order = service.a_paid_order()
    requests: list[Message] = []

    def tell(request: Message) -> None:
        requests.append(request)
        assert request.reply_to is not None
        body = {**request.body, "status": "sent"}
        publish(broker_url, Message("m-3", "notification.settled", body), queue=request.reply_to)

    def is_told() -> bool:
        found = service.orders.find(order.id)
        return found is not None and found.notification == "sent"

    publish(broker_url, booked(order))
    with consuming(broker_url, "notifications.requests", tell):
        while_messaging(service, broker_url, is_told)

    found = service.orders.find(order.id)
    assert found is not None
    assert (found.state, found.tracking) == ("shipped", "T-1")
    about = {"order_id": order.id, "user": "ada", "notification_id": f"n-{order.id}", "template": "order-shipped"}
    assert [request.body for request in requests] == [about]
    assert service.events(order.id) == ["placed", "reserved", "paid", "shipped", "notified"]
    service.assert_balanced()


def test_an_order_whose_shipment_is_refused_gives_stock_and_money_back_and_says_so(
    tmp_path: Path, broker_url: str
) -> None:
    service = OrdersInProcess(tmp_path)
    order = service.a_paid_order()
    heard: list[Message] = []

    publish(broker_url, refused(order))
    with consuming(broker_url, "accounts.events", heard.append):
        while_messaging(service, broker_url, lambda: state_of(service, order) == "failed" and len(heard) == 2)

    assert [message.name for message in heard] == ["order.paid", "order.cancelled"]
    assert heard[1].body == {"order_id": order.id, "user": "ada", "reason": "no_pick"}
    service.assert_balanced()


def test_compensations_are_part_of_the_request_whose_message_caused_them(tmp_path: Path, broker_url: str) -> None:
    service = OrdersInProcess(tmp_path)
    order = service.a_paid_order()
    seen: list[str | None] = []

    async def release(order_id: str) -> int:
        seen.append(clew.correlation_id())
        return 1

    service.shelves.release = release  # type: ignore[method-assign]  # to look around at that moment
    with clew.request("pick", correlation_id="r-7"):
        publish(broker_url, refused(order), headers=clew.outgoing_headers())
    while_messaging(service, broker_url, lambda: bool(seen))

    assert seen == ["r-7"]


def test_an_order_that_could_not_be_undone_when_its_shipment_was_refused_is_undone_later(tmp_path: Path) -> None:
    service = OrdersInProcess(tmp_path)
    order = service.a_paid_order()
    a_news(service, undo=lambda order: None).take_shipment(refused(order))
    assert state_of(service, order) == "cancelling"

    service.settle()

    assert state_of(service, order) == "failed"
    service.assert_balanced()


@pytest.mark.parametrize("has_inbox", [True, False])
def test_news_that_come_twice_are_taken_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_inbox: bool) -> None:
    """Without an inbox, a customer is noted as told twice."""
    service = OrdersInProcess(tmp_path)
    order = service.a_paid_order()
    news = a_news(service)
    news.take_shipment(booked(order))
    told = Message("m-3", "notification.settled", {"order_id": order.id, "status": "sent"})
    if not has_inbox:
        monkeypatch.setattr("clew_demo.messaging.inbox.Inbox.is_new", lambda statements, message_id: True)

    news.take_notification(told)
    news.take_notification(told)

    assert service.events(order.id).count("notified") == (1 if has_inbox else 2)


def test_news_and_what_they_cause_are_kept_together_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = OrdersInProcess(tmp_path)
    order = service.a_paid_order()
    news = a_news(service)

    def break_down(*args: Any, **kwargs: Any) -> str:
        raise OSError("disk full")

    with monkeypatch.context() as broken:
        broken.setattr("clew_demo.messaging.outbox.Outbox.add", break_down)
        with pytest.raises(OSError, match="disk full"):
            news.take_shipment(booked(order))
    assert service.events(order.id) == ["placed", "reserved", "paid"]

    news.take_shipment(booked(order))
    assert service.events(order.id) == ["placed", "reserved", "paid", "shipped"]
    assert [name for name, _ in service.to_be_sent()] == ["order.paid", "order.shipped", "notification.requested"]


def test_news_that_contradict_what_has_happened_change_nothing(tmp_path: Path) -> None:
    service = OrdersInProcess(tmp_path)
    order = service.a_paid_order()
    news = a_news(service)
    news.take_shipment(booked(order))

    news.take_shipment(refused(order))

    assert state_of(service, order) == "shipped"
    service.assert_balanced()


def test_news_of_an_order_that_nobody_placed_are_a_dead_letter(tmp_path: Path, broker_url: str) -> None:
    service = OrdersInProcess(tmp_path)
    publish(broker_url, booked(Order(id="o-nobody", user="eve", state="paid")))

    while_messaging(service, broker_url, lambda: bool(dead_letters(broker_url, "orders.events")))

    assert "there is no order o-nobody" in dead_letters(broker_url, "orders.events")[0].reason


@pytest.mark.parametrize("is_stuck", [True, False])
def test_a_stuck_saga_takes_the_news_and_forgets_them(tmp_path: Path, broker_url: str, is_stuck: bool) -> None:
    service = OrdersInProcess(tmp_path)
    if is_stuck:
        service.faults.plant("saga-stuck")
    order = service.a_paid_order()
    taken: list[Message] = []
    news = a_news(service)

    def take(message: Message) -> None:
        news.take_shipment(message)
        taken.append(message)

    async def run() -> None:
        with consuming(broker_url, "orders.events", take):
            await until(lambda: bool(taken))

    publish(broker_url, booked(order))
    asyncio.run(run())

    assert state_of(service, order) == ("paid" if is_stuck else "shipped")


def test_an_abandoned_order_is_undone_in_the_request_that_placed_it(tmp_path: Path) -> None:
    service = OrdersInProcess(tmp_path)
    with clew.request("POST /orders", correlation_id="r-1") as request:
        service.orders.place(Order(id="o-1", user="ada", state="pending"), idempotency_key=None)
        trace_id = request.span.trace_id
    seen: list[tuple[str | None, int]] = []

    async def release(order_id: str) -> int:
        seen.append((clew.correlation_id(), clew.current_span().get_span_context().trace_id))
        return 0

    service.shelves.release = release  # type: ignore[method-assign]  # to look around at that moment
    service.settle()

    assert seen == [("r-1", trace_id)]


def a_news(service: OrdersInProcess, *, undo: Callable[[Order], None] = lambda order: None) -> News:
    return News(service.orders, undo=undo, faults=service.faults)
