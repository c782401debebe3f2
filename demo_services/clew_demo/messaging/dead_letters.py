"""Messages that nobody could process: kept with the reason, for a person to look at."""

# kombu is half typed: what it exports lazily is not seen.
# mypy: disable-error-code="no-untyped-call,attr-defined"
from dataclasses import dataclass

from kombu import Queue
from kombu.message import Message as Delivery

from clew_demo.messaging.broker import connect
from clew_demo.messaging.events import Message, dead_letter_queue
from clew_demo.messaging.publishing import read

REASON = "x-dead-letter-reason"


@dataclass(frozen=True, slots=True)
class DeadLetter(Message):
    """A message that was given up; its body is empty if it could not be read."""

    reason: str = ""


def dead_letters(broker_url: str, queue: str) -> list[DeadLetter]:
    """The messages of a queue that were given up, oldest first; they stay where they are."""
    with connect(broker_url) as connection:
        dead = Queue(dead_letter_queue(queue))(connection.default_channel)
        # Not acknowledged: with the connection's end they are back in the queue.
        return [_dead_letter(delivery) for delivery in iter(dead.get, None)]


def _dead_letter(delivery: Delivery) -> DeadLetter:
    try:
        message = read(delivery)
    except (ValueError, TypeError):
        message = Message(delivery.properties.get("message_id", ""), delivery.properties.get("type", ""), {})
    return DeadLetter(
        message.id, message.name, message.body, message.attempt, message.reply_to, str(delivery.headers.get(REASON, ""))
    )
