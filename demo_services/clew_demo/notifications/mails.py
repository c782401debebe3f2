"""Mails, and the mail server: another company's, simulated by a folder and its bad moments."""

import time
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path
from random import Random

from opentelemetry import trace

import clew
from clew_demo.notifications.models import Requested

SENDER = "Clew Coffee <shop@coffee.example>"
TEMPLATES = {
    "order-paid": ("Thank you for your order {order_id}", "We have your order and your payment."),
    "order-shipped": ("Your order {order_id} is on its way", "The parcel has left our warehouse."),
    "order-cancelled": ("Your order {order_id} was cancelled", "You were not charged, or have your money back."),
}

LATENCY_S = (0.005, 0.02)
FAILURE_RATE = 0.08

tracer = trace.get_tracer(__name__)


class MailServerDown(Exception):
    """The server did not confirm a mail; whether it has it is not known. Asking again may help."""


def compose(notification: Requested) -> EmailMessage:
    """The mail about a notification: the same one each time. Raises `KeyError` for an unknown template."""
    subject, text = TEMPLATES[notification.template]
    mail = EmailMessage()
    mail["From"] = SENDER
    mail["To"] = f"{notification.user}@customers.example"
    mail["Subject"] = subject.format(order_id=notification.order_id)
    mail["Message-ID"] = f"<{notification.notification_id}@coffee.example>"
    if request_id := clew.correlation_id():
        mail["X-Request-ID"] = request_id
    mail.set_content(f"Dear {notification.user},\n\n{text}\n")
    return mail


class MailServer:
    """Puts each mail into a folder as an .eml file, one a Message-ID as real servers do. Blocks.

    Of its failures, one half comes before it has the mail, the other half after.
    """

    def __init__(
        self,
        folder: Path,
        *,
        random: Random,
        failure_rate: float = FAILURE_RATE,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._folder = folder
        self._random = random
        self._failure_rate = failure_rate
        self._sleep = sleep
        folder.mkdir(parents=True, exist_ok=True)

    def deliver(self, mail: EmailMessage) -> None:
        """Send a mail. Safe to repeat. Raises `MailServerDown`."""
        with tracer.start_as_current_span(
            "send mail", kind=trace.SpanKind.CLIENT, attributes={"server.address": "smtp.mails.example"}
        ):
            self._sleep(self._random.uniform(*LATENCY_S))
            chance = self._random.random()
            if chance < self._failure_rate / 2:
                raise MailServerDown("421 too many connections")
            message_id = mail["Message-ID"].strip("<>").partition("@")[0]
            (self._folder / f"{message_id}.eml").write_bytes(mail.as_bytes())
            if chance < self._failure_rate:
                raise MailServerDown("the connection broke before 250 OK")
