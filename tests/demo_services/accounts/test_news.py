from pathlib import Path
from typing import Any

import pytest

from clew_demo.accounts.ledger import Ledger
from clew_demo.accounts.models import Account
from clew_demo.accounts.news import QUEUE, OrderNews
from clew_demo.messaging.consumer import Reject
from clew_demo.messaging.dead_letters import dead_letters
from clew_demo.messaging.events import Message
from clew_demo.messaging.publishing import publish
from tests.demo_services.messaging.brokers import consuming
from tests.waiting import wait_until

PAID = {"order_id": "o-1", "user": "ada", "total_cents": 4_250, "lines": [{"product_id": "moka-pot", "quantity": 1}]}
CANCELLED = {"order_id": "o-1", "user": "ada", "reason": "out_of_stock"}


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "accounts.db")


def points(ledger: Ledger) -> int | None:
    account = ledger.find("ada")
    return account.points if account else None


def test_a_paid_order_earns_once_however_often_it_is_told(ledger: Ledger) -> None:
    news = OrderNews(ledger)
    for message_id in ("m-1", "m-1", "m-2"):
        news.handle(Message(message_id, "order.paid", PAID))

    assert ledger.find("ada") == Account(user="ada", points=42)


@pytest.mark.parametrize("names", [("order.paid", "order.cancelled"), ("order.cancelled", "order.paid")])
def test_a_cancelled_order_has_no_points_in_whichever_order_that_is_heard(
    ledger: Ledger, names: tuple[str, ...]
) -> None:
    news = OrderNews(ledger)
    for name in names:
        news.handle(Message(f"m-{name}", name, PAID | CANCELLED))

    assert not points(ledger)


@pytest.mark.parametrize(
    ("name", "body"),
    [("order.paid", CANCELLED), ("order.cancelled", {"order_id": "o-1"}), ("order.shipped", PAID)],
)
def test_a_message_that_says_nothing_about_points_is_rejected(ledger: Ledger, name: str, body: dict[str, Any]) -> None:
    with pytest.raises(Reject):
        OrderNews(ledger).handle(Message("m-1", name, body))

    assert ledger.find("ada") is None


def test_over_a_broker_orders_earn_and_what_cannot_be_booked_is_set_aside(broker_url: str, ledger: Ledger) -> None:
    with consuming(broker_url, QUEUE, OrderNews(ledger).handle):
        for message_id in ("m-1", "m-1"):
            publish(broker_url, Message(message_id, "order.paid", PAID))
        publish(broker_url, Message("m-2", "order.paid", CANCELLED))
        publish(broker_url, Message("m-3", "order.paid", PAID | {"order_id": "o-2", "total_cents": 100}))

        wait_until(lambda: points(ledger) == 43)
        wait_until(lambda: [dead.id for dead in dead_letters(broker_url, QUEUE)] == ["m-2"])

    assert points(ledger) == 43
