"""Telling customers: each request is tried until its mail is sent, and its sender gets a reply either way."""

import zlib

import structlog
from pydantic import ValidationError

from clew_demo.faults.switchboard import Switchboard
from clew_demo.messaging.consumer import Reject
from clew_demo.messaging.events import Message
from clew_demo.notifications.database import Notifications
from clew_demo.notifications.mails import MailServer, MailServerDown, compose
from clew_demo.notifications.models import Requested

log = structlog.get_logger()


class Unreadable(Exception):
    """The body of a message cannot be decoded."""


class Notifier:
    """Handles requests. One that is delivered again has no second effect: what is settled stays so."""

    def __init__(
        self, notifications: Notifications, mail_server: MailServer, faults: Switchboard, *, max_attempts: int
    ) -> None:
        self._notifications = notifications
        self._mail_server = mail_server
        self._faults = faults
        self._max_attempts = max_attempts

    def handle(self, message: Message) -> None:
        """Send one mail. Raises `Reject` if there will never be one, and `MailServerDown` if there may be later."""
        if self._faults.is_on("poison-message") and is_poisoned(message):
            raise Unreadable(f"invalid start byte at position 0 of message {message.id}")
        try:
            wanted = Requested.model_validate(message.body)
        except ValidationError as error:
            raise Reject(f"not a valid {message.name}: {error.error_count()} errors") from error
        if not self._notifications.attempt(wanted):
            log.info("notification settled before", notification_id=wanted.notification_id)
            return
        self._send(wanted, message)

    def _send(self, wanted: Requested, message: Message) -> None:
        about = {"notification_id": wanted.notification_id, "order_id": wanted.order_id, "template": wanted.template}
        try:
            mail = compose(wanted)
            self._mail_server.deliver(mail)
        except KeyError as error:
            self._notifications.settle(wanted, "failed", reply_to=message.reply_to)
            raise Reject(f"there is no template {wanted.template}") from error
        except MailServerDown:
            if message.attempt >= self._max_attempts:
                self._notifications.settle(wanted, "failed", reply_to=message.reply_to)
                log.error("notification given up", attempts=message.attempt, **about)
            raise
        self._notifications.settle(wanted, "sent", reply_to=message.reply_to)
        log.info("notification sent", attempts=message.attempt, **about)


def is_poisoned(message: Message) -> bool:
    """Every third message, by its ID: the same one is poisoned each time it is delivered."""
    return zlib.crc32(message.id.encode()) % 3 == 0
