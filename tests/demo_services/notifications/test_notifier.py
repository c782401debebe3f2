"""What becomes of one request; each delivery is a call here."""

import email
import json
from collections.abc import Iterator
from email.message import EmailMessage
from email.message import Message as Mail
from pathlib import Path
from random import Random
from typing import Any

import pytest

from clew_demo.faults.switchboard import Switchboard
from clew_demo.messaging.consumer import Reject
from clew_demo.messaging.events import Message
from clew_demo.notifications.database import Notifications
from clew_demo.notifications.mails import FAILURE_RATE, MailServer, MailServerDown
from clew_demo.notifications.notifier import Notifier, Unreadable, is_poisoned

MAX_ATTEMPTS = 3
FINE, BROKEN_BEFORE, BROKEN_AFTER = 0.99, 0.0, FAILURE_RATE * 0.75


class Fate(Random):
    """What the mail server does is said beforehand; when nothing is left to say, all is fine."""

    def __init__(self, *chances: float) -> None:
        super().__init__(0)
        self._chances = list(chances)

    def uniform(self, a: float, b: float) -> float:
        return 0.0

    def random(self) -> float:
        return self._chances.pop(0) if self._chances else FINE


@pytest.fixture
def notifications(tmp_path: Path) -> Iterator[Notifications]:
    notifications = Notifications(tmp_path / "notifications.db")
    yield notifications
    notifications.close()


def a_notifier(notifications: Notifications, *fate: float) -> Notifier:
    folder = notifications.database.path.parent
    mail_server = MailServer(folder / "mails", random=Fate(*fate))
    return Notifier(notifications, mail_server, Switchboard(folder), max_attempts=MAX_ATTEMPTS)


def requested(
    notification_id: str = "n-1", *, attempt: int = 1, reply_to: str | None = "notifications.replies", **body: Any
) -> Message:
    body = {"notification_id": notification_id, "order_id": "o-1", "user": "ada", "template": "order-shipped", **body}
    return Message(f"m-{notification_id}", "notification.requested", body, attempt, reply_to)


def mails(notifications: Notifications) -> list[Mail]:
    folder = notifications.database.path.parent / "mails"
    return [email.message_from_bytes(path.read_bytes()) for path in sorted(folder.iterdir())]


def replied(notifications: Notifications) -> list[tuple[str, str]]:
    """The replies in the outbox: of which notification, and how it ended."""
    with notifications.database.read() as statements:
        rows = statements.execute("SELECT * FROM outbox")
    assert {row["name"] for row in rows} <= {"notification.settled"}
    bodies = [json.loads(row["body"]) for row in rows]
    return [(body["notification_id"], body["status"]) for body in bodies]


def test_a_request_becomes_a_mail_and_a_reply(notifications: Notifications) -> None:
    a_notifier(notifications).handle(requested())

    (mail,) = mails(notifications)
    assert (mail["To"], mail["Message-ID"]) == ("ada@customers.example", "<n-1@coffee.example>")
    assert mail["Subject"] == "Your order o-1 is on its way"
    assert replied(notifications) == [("n-1", "sent")]
    assert notifications.find("n-1") == ("sent", 1)


@pytest.mark.parametrize("is_the_same", [True, False])
def test_what_is_delivered_again_is_one_mail_and_one_reply(notifications: Notifications, is_the_same: bool) -> None:
    """Idempotent consumer. Without an ID that stays the same, the customer gets two."""
    notifier = a_notifier(notifications)

    notifier.handle(requested("n-1"))
    notifier.handle(requested("n-1" if is_the_same else "n-2"))

    assert len(mails(notifications)) == len(replied(notifications)) == (1 if is_the_same else 2)


@pytest.mark.parametrize("fate", [BROKEN_BEFORE, BROKEN_AFTER], ids=["before", "after"])
def test_a_mail_that_was_not_confirmed_is_sent_again_and_there_once(notifications: Notifications, fate: float) -> None:
    notifier = a_notifier(notifications, fate)
    with pytest.raises(MailServerDown):
        notifier.handle(requested())
    assert (notifications.find("n-1"), replied(notifications)) == (("pending", 1), [])

    notifier.handle(requested(attempt=2))

    assert len(mails(notifications)) == 1
    assert (notifications.find("n-1"), replied(notifications)) == (("sent", 2), [("n-1", "sent")])


def test_the_last_attempt_settles_it_as_failed(notifications: Notifications) -> None:
    notifier = a_notifier(notifications, *[BROKEN_BEFORE] * MAX_ATTEMPTS)

    for attempt in range(1, MAX_ATTEMPTS + 1):
        with pytest.raises(MailServerDown):
            notifier.handle(requested(attempt=attempt))

    assert (notifications.find("n-1"), replied(notifications)) == (("failed", MAX_ATTEMPTS), [("n-1", "failed")])


def test_an_unknown_template_fails_at_once(notifications: Notifications) -> None:
    with pytest.raises(Reject, match="no template birthday"):
        a_notifier(notifications).handle(requested(template="birthday"))

    assert replied(notifications) == [("n-1", "failed")]


def test_who_wants_no_reply_gets_none(notifications: Notifications) -> None:
    a_notifier(notifications).handle(requested(reply_to=None))

    assert replied(notifications) == []
    assert len(mails(notifications)) == 1


@pytest.mark.parametrize(
    "body", [{"user": "ada\nBcc: everybody"}, {"notification_id": "../../etc/passwd"}, {"order_id": None}]
)
def test_what_is_no_request_is_rejected(notifications: Notifications, body: dict[str, Any]) -> None:
    with pytest.raises(Reject):
        a_notifier(notifications).handle(requested(**body))

    assert mails(notifications) == []


@pytest.mark.parametrize("planted", [True, False])
def test_a_poisoned_message_cannot_be_read(notifications: Notifications, planted: bool) -> None:
    if planted:
        Switchboard(notifications.database.path.parent).plant("poison-message")
    notifier, unreadable = a_notifier(notifications), 0

    for number in range(60):
        try:
            notifier.handle(message := requested(f"n-{number}"))
        except Unreadable:
            assert is_poisoned(message)
            unreadable += 1

    assert len(mails(notifications)) == 60 - unreadable
    assert 10 <= unreadable <= 30 if planted else unreadable == 0


def test_the_mail_server_fails_now_and_then(tmp_path: Path) -> None:
    def failures(seed: int) -> int:
        server = MailServer(tmp_path, random=Random(seed), sleep=lambda _: None)
        return sum(_fails(server) for _ in range(200))

    assert 0 < failures(1) < 40
    assert failures(1) == failures(1)


def _fails(server: MailServer) -> bool:
    mail = EmailMessage()
    mail["Message-ID"] = "<n-1@coffee.example>"
    try:
        server.deliver(mail)
    except MailServerDown:
        return True
    return False
