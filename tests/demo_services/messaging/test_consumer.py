# kombu is half typed: what it exports lazily is not seen.
# mypy: disable-error-code="no-untyped-call"
import subprocess
import sys
import time

import pytest

from clew_demo.messaging import broker
from clew_demo.messaging.broker import connect
from clew_demo.messaging.consumer import Reject
from clew_demo.messaging.dead_letters import dead_letters
from clew_demo.messaging.events import Message
from clew_demo.messaging.publishing import publish
from tests.demo_services.messaging.brokers import consuming, received
from tests.waiting import wait_until

QUEUE = "shipping.events"
PAID = Message("m-1", "order.paid", {"order_id": "o-1"})
CANCELLED = Message("m-2", "order.cancelled", {"order_id": "o-2"})


def test_a_message_arrives_as_it_was_sent(broker_url: str) -> None:
    message = Message("m-1", "order.paid", {"order_id": "ö-1"}, reply_to="somewhere")

    publish(broker_url, message)

    assert received(broker_url, QUEUE, count=1) == [message]


def test_everybody_who_listens_to_a_name_gets_the_message(broker_url: str) -> None:
    publish(broker_url, PAID)

    assert received(broker_url, "shipping.events", count=1) == [PAID]
    assert received(broker_url, "accounts.events", count=1) == [PAID]


def test_a_message_for_one_queue_is_in_no_other(broker_url: str) -> None:
    publish(broker_url, PAID, queue="accounts.events")
    publish(broker_url, CANCELLED)

    assert received(broker_url, "accounts.events", count=2) == [PAID, CANCELLED]
    assert received(broker_url, "shipping.events", count=1) == [CANCELLED]


@pytest.mark.parametrize("redelivers", [True, False])
def test_a_message_that_fails_is_tried_again_until_it_is_done(broker_url: str, redelivers: bool) -> None:
    """Without redelivery (one attempt) the message is never done."""
    attempts: list[int] = []

    def succeed_late(message: Message) -> None:
        attempts.append(message.attempt)
        if message.attempt < 3:
            raise ConnectionError("warehouse is closed")

    publish(broker_url, PAID)
    with consuming(broker_url, QUEUE, succeed_late, retry_after_s=0.05, max_attempts=3 if redelivers else 1):
        if redelivers:
            wait_until(lambda: attempts == [1, 2, 3], every_s=0.02)
        else:
            wait_until(lambda: len(dead_letters(broker_url, QUEUE)) == 1)

    assert attempts == ([1, 2, 3] if redelivers else [1])
    assert len(dead_letters(broker_url, QUEUE)) == (0 if redelivers else 1)


def test_others_are_processed_while_one_waits_for_its_next_attempt(broker_url: str) -> None:
    seen: list[str] = []

    def fail_first(message: Message) -> None:
        seen.append(message.id)
        if message.id == "m-1":
            raise ConnectionError

    publish(broker_url, PAID)
    publish(broker_url, CANCELLED)
    with consuming(broker_url, QUEUE, fail_first, retry_after_s=30):
        wait_until(lambda: seen == ["m-1", "m-2"], every_s=0.02)

    # What waited is not lost when the consumer stops.
    assert received(broker_url, QUEUE, count=1) == [PAID]


def test_waits_between_attempts_grow(broker_url: str) -> None:
    at_s: list[float] = []

    def fail(message: Message) -> None:
        at_s.append(time.monotonic())
        raise ConnectionError

    publish(broker_url, PAID)
    with consuming(broker_url, QUEUE, fail, retry_after_s=0.2, max_attempts=3):
        wait_until(lambda: len(at_s) == 3, every_s=0.02)

    assert at_s[1] - at_s[0] >= 0.2
    assert at_s[2] - at_s[1] >= 0.4


@pytest.mark.parametrize(("error", "attempts"), [(ValueError("no such product"), 2), (Reject("not for us"), 1)])
def test_a_message_that_cannot_be_processed_is_set_aside_with_the_reason(
    broker_url: str, error: Exception, attempts: int
) -> None:
    def fail(message: Message) -> None:
        raise error

    publish(broker_url, PAID)
    with consuming(broker_url, QUEUE, fail, retry_after_s=0.01, max_attempts=2):
        wait_until(lambda: bool(dead_letters(broker_url, QUEUE)))

    (letter,) = dead_letters(broker_url, QUEUE)
    assert (letter.id, letter.name, letter.body) == ("m-1", "order.paid", {"order_id": "o-1"})
    assert letter.attempt == attempts
    assert letter.reason == f"{type(error).__name__}: {error}"


def test_bytes_that_nobody_can_read_are_set_aside_and_the_next_message_is_processed(broker_url: str) -> None:
    with connect(broker_url) as connection:
        connection.Producer().publish(b"\xff{", routing_key=QUEUE, content_type="application/json")
    publish(broker_url, PAID)

    assert received(broker_url, QUEUE, count=1) == [PAID]
    (letter,) = dead_letters(broker_url, QUEUE)
    assert letter.body == {}
    assert letter.reason.startswith("Reject: not a JSON object")


def test_a_consumer_that_is_killed_while_it_processes_loses_nothing(
    broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker, "REDELIVER_AFTER_S", 1)
    script = f"""
import os
from clew_demo.messaging.consumer import Consumer
Consumer({broker_url!r}, {QUEUE!r}, lambda message: os._exit(9)).run()
"""
    publish(broker_url, PAID)
    assert subprocess.run([sys.executable, "-c", script], timeout=30).returncode == 9

    assert received(broker_url, QUEUE, count=1) == [PAID]


def test_a_consumer_stops_in_time(broker_url: str) -> None:
    with consuming(broker_url, QUEUE, lambda message: None) as consumer:
        start_s = time.monotonic()
        consumer.stop()

    assert time.monotonic() - start_s < 8
