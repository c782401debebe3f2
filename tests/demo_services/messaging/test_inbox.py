from pathlib import Path

import pytest

from clew_demo.messaging.events import Message
from clew_demo.messaging.inbox import Inbox
from clew_demo.messaging.publishing import publish
from tests.demo_services.messaging.brokers import a_database, consuming
from tests.waiting import wait_until

QUEUE = "shipping.events"
PAID = Message("m-1", "order.paid", {"order_id": "o-1"})
WEEK_S = 7 * 24 * 3600


@pytest.mark.parametrize("has_inbox", [True, False])
def test_a_message_that_comes_twice_has_one_effect(tmp_path: Path, broker_url: str, has_inbox: bool) -> None:
    """Without an inbox it has two."""
    database = a_database(tmp_path)
    deliveries: list[str] = []

    def note(message: Message) -> None:
        with database.write() as statements:
            if not has_inbox or Inbox.is_new(statements, message.id):
                statements.execute("INSERT INTO notes VALUES (:id)", {"id": message.id})
        deliveries.append(message.id)

    with consuming(broker_url, QUEUE, note):
        publish(broker_url, PAID)
        publish(broker_url, PAID)
        wait_until(lambda: len(deliveries) == 2, every_s=0.02)

    with database.read() as statements:
        assert len(statements.execute("SELECT * FROM notes")) == (1 if has_inbox else 2)


def test_a_message_whose_effect_was_rolled_back_is_new_again(tmp_path: Path) -> None:
    database = a_database(tmp_path)

    def fail_after_it_was_noted() -> None:
        with database.write() as statements:
            assert Inbox.is_new(statements, "m-1")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_after_it_was_noted()

    with database.write() as statements:
        assert Inbox.is_new(statements, "m-1")
    with database.write() as statements:
        assert not Inbox.is_new(statements, "m-1")


def test_messages_are_forgotten_after_a_week(tmp_path: Path) -> None:
    database = a_database(tmp_path)
    with database.write() as statements:
        Inbox.is_new(statements, "m-old")
        statements.execute(f"UPDATE inbox SET processed_s = processed_s - {WEEK_S} - 1")

    with database.write() as statements:
        Inbox.is_new(statements, "m-new")

    with database.read() as statements:
        assert [row["message_id"] for row in statements.execute("SELECT message_id FROM inbox")] == ["m-new"]
