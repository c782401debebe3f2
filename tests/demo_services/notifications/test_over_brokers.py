"""Requests and replies over each broker."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from clew_demo.faults.switchboard import Switchboard
from clew_demo.messaging.broker import connect
from clew_demo.messaging.consumer import Consumer
from clew_demo.messaging.dead_letters import dead_letters
from clew_demo.messaging.events import Message
from clew_demo.messaging.outbox import Relay
from clew_demo.messaging.publishing import publish
from clew_demo.notifications.database import Notifications
from clew_demo.notifications.mails import MailServer
from clew_demo.notifications.notifier import Notifier, is_poisoned
from tests.demo_services.neighbours.brokers import received
from tests.demo_services.neighbours.processes import CALLER, TRACE_ID, running_service
from tests.demo_services.otlp_sink import OtlpSink
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("callers_have_no_clew")

REQUESTS = "notifications.requests"
REPLIES = "notifications.replies"
STEPS = {"process notifications.requests", "send mail", "relay notification.settled"}


def send(broker_url: str, *notification_ids: str) -> list[Message]:
    """Ask for notifications."""
    about = {"order_id": "o-1", "user": "ada", "template": "order-shipped"}
    messages = [
        Message(f"m-{each}", "notification.requested", {"notification_id": each, **about}, reply_to=REPLIES)
        for each in notification_ids
    ]
    with connect(broker_url) as connection:
        for message in messages:
            publish(connection, message, headers=CALLER)
    return messages


def statuses(broker_url: str, count: int) -> dict[str, str]:
    """The replies by notification, once there are so many. Fails for a second reply to the same one."""
    found: dict[str, str] = {}

    def is_complete() -> bool:
        for message, _ in received(broker_url, REPLIES):
            assert message.body["notification_id"] not in found
            found[message.body["notification_id"]] = message.body["status"]
        return len(found) >= count

    wait_until(is_complete)
    return found


@contextmanager
def notifying(broker_url: str, folder: Path, *, failure_rate: float, max_attempts: int) -> Iterator[Notifications]:
    """The service in this process, in a hurry, with a mail server that is as bad as said."""
    notifications = Notifications(folder / "notifications.db")
    mail_server = MailServer(folder / "mails", random=Random(4), failure_rate=failure_rate, sleep=lambda _: None)
    notifier = Notifier(notifications, mail_server, Switchboard(folder), max_attempts=max_attempts)
    consumer = Consumer(broker_url, REQUESTS, notifier.handle, max_attempts=max_attempts, retry_after_s=0.01)
    relay = Relay(notifications.database, broker_url)
    consumer.start()
    relay.start()
    try:
        yield notifications
    finally:
        consumer.stop()
        relay.stop()
        notifications.close()


def test_a_reply_is_a_part_of_the_request_that_asked(broker_url: str, tmp_path: Path) -> None:
    """Request and reply queue, between processes; test_notifier shows that who wants no reply gets none."""
    replies: list[tuple[Message, dict[str, str]]] = []

    def has_replied() -> bool:
        replies.extend(received(broker_url, REPLIES))
        return bool(replies)

    with OtlpSink() as sink:
        env = {"CLEW_DEMO_BROKER_URL": broker_url, "OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint}
        with running_service("notifications", tmp_path, env=env, listens=False) as service:
            send(broker_url, "n-1")
            wait_until(has_replied)
            took_s = service.stop()

    ((reply, headers),) = replies
    assert reply.body == {"notification_id": "n-1", "order_id": "o-1", "status": "sent"}
    assert headers["X-Request-ID"] == CALLER["X-Request-ID"]
    assert TRACE_ID in headers["traceparent"]
    assert {(span.name, span.trace_id) for span in sink.spans if span.name in STEPS} == {
        (step, TRACE_ID) for step in STEPS
    }
    assert "X-Request-ID: web-7f3a09c1" in (tmp_path / "outbox-mails" / "n-1.eml").read_text()
    assert took_s < 8


@pytest.mark.parametrize("max_attempts", [20, 1])
def test_a_request_is_delivered_until_its_mail_is_sent(broker_url: str, tmp_path: Path, max_attempts: int) -> None:
    """Redelivery until done. With one delivery only, a bad mail server costs mails."""
    ids = [f"n-{number}" for number in range(10)]

    with notifying(broker_url, tmp_path, failure_rate=0.5, max_attempts=max_attempts) as notifications:
        send(broker_url, *ids)
        ended = set(statuses(broker_url, len(ids)).values())
        attempts = [found[1] for each in ids if (found := notifications.find(each))]

    if max_attempts == 1:
        assert ended == {"sent", "failed"}
    else:
        assert ended == {"sent"}
        assert len(list((tmp_path / "mails").iterdir())) == len(ids)
        assert sum(attempts) > len(ids)


@pytest.mark.parametrize("failure_rate", [1.0, 0.0])
def test_beyond_the_attempts_a_request_is_a_dead_letter(broker_url: str, tmp_path: Path, failure_rate: float) -> None:
    """Dead letter. A mail server that works leaves none."""
    with notifying(broker_url, tmp_path, failure_rate=failure_rate, max_attempts=3):
        (message,) = send(broker_url, "n-1")
        status = statuses(broker_url, 1)["n-1"]
        if failure_rate:
            wait_until(lambda: bool(dead_letters(broker_url, REQUESTS)))

    dead = dead_letters(broker_url, REQUESTS)
    assert status == ("failed" if failure_rate else "sent")
    assert [(letter.id, letter.body, letter.attempt) for letter in dead] == (
        [(message.id, message.body, 3)] if failure_rate else []
    )


@pytest.mark.parametrize("planted", [True, False])
def test_poison_messages_end_as_dead_letters_and_hold_up_nobody(broker_url: str, tmp_path: Path, planted: bool) -> None:
    if planted:
        Switchboard(tmp_path).plant("poison-message")
    with notifying(broker_url, tmp_path, failure_rate=0, max_attempts=3):
        messages = send(broker_url, *(f"n-{number}" for number in range(12)))
        poisoned = {message.id for message in messages if planted and is_poisoned(message)}
        sent = statuses(broker_url, len(messages) - len(poisoned))
        wait_until(lambda: len(dead_letters(broker_url, REQUESTS)) == len(poisoned))

    assert bool(poisoned) is planted
    assert set(sent.values()) == {"sent"}
    assert {letter.id for letter in dead_letters(broker_url, REQUESTS)} == poisoned


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_promptly_while_the_broker_is_away(tmp_path: Path, number: signal.Signals) -> None:
    env = {"CLEW_DEMO_BROKER_URL": "redis://127.0.0.1:9/0"}
    with running_service("notifications", tmp_path, env=env, listens=False) as service:
        wait_until(lambda: "message broker is away" in service.output)

        assert service.stop(number) < 3
