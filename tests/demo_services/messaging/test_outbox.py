from pathlib import Path

import pytest

from clew_demo.messaging.events import Message
from clew_demo.messaging.outbox import Outbox
from clew_demo.messaging.publishing import publish
from tests.demo_services.messaging.brokers import a_database, consuming, is_empty, received, relaying
from tests.waiting import wait_until

QUEUE = "shipping.events"


class KilledError(BaseException):
    """The process is gone at this point."""


@pytest.mark.parametrize("has_outbox", [True, False])
def test_a_kill_between_commit_and_publish_loses_no_message(tmp_path: Path, broker_url: str, has_outbox: bool) -> None:
    """A service without an outbox, that publishes when it has committed, loses its message here."""

    def do_business() -> None:
        with database.write() as statements:
            statements.execute("INSERT INTO notes VALUES ('m-1')")
            if has_outbox:
                Outbox.add(statements, "order.paid", {"order_id": "o-1"})
        raise KilledError
        publish(broker_url, Message("m-1", "order.paid", {"order_id": "o-1"}))  # type: ignore[unreachable]  # that is it

    database = a_database(tmp_path)
    with pytest.raises(KilledError):
        do_business()
    database.close()

    with relaying(restarted := a_database(tmp_path), broker_url):
        wait_until(lambda: is_empty(restarted), every_s=0.02)
    publish(broker_url, Message("m-9", "order.cancelled", {}))
    messages = received(broker_url, QUEUE, count=2 if has_outbox else 1)

    assert [message.name for message in messages] == [*(["order.paid"] if has_outbox else []), "order.cancelled"]


def test_what_is_rolled_back_is_not_sent(tmp_path: Path, broker_url: str) -> None:
    database = a_database(tmp_path)

    def fail_before_the_commit() -> None:
        with database.write() as statements:
            Outbox.add(statements, "order.paid", {"order_id": "never"})
            raise KilledError

    with pytest.raises(KilledError):
        fail_before_the_commit()
    with database.write() as statements:
        Outbox.add(statements, "order.cancelled", {"order_id": "o-1"})

    with relaying(database, broker_url):
        messages = received(broker_url, QUEUE, count=1)
    assert [message.body["order_id"] for message in messages] == ["o-1"]


def test_messages_are_sent_once_and_in_order(tmp_path: Path, broker_url: str) -> None:
    database = a_database(tmp_path)
    with database.write() as statements:
        ids = [Outbox.add(statements, "order.paid", {"n": n}, reply_to="here") for n in range(30)]

    with relaying(database, broker_url):
        wait_until(lambda: is_empty(database), every_s=0.02)
    messages: list[Message] = []
    with relaying(database, broker_url), consuming(broker_url, QUEUE, messages.append):
        wait_until(lambda: len(messages) >= 30, every_s=0.02)

    assert [message.id for message in messages] == ids
    assert [message.body["n"] for message in messages] == list(range(30))
    assert {message.reply_to for message in messages} == {"here"}
