"""Sending messages, each confirmed by the broker before the call returns; and what they look like on the wire."""

# kombu is half typed: what it exports lazily is not seen.
# mypy: disable-error-code="no-untyped-call,attr-defined"
import json
from collections.abc import Mapping
from typing import Any

from kombu import Connection
from kombu.message import Message as Delivery
from kombu.messaging import Producer

from clew_demo.messaging.broker import CONFIRM_TIMEOUT_S, connect, restore_queues
from clew_demo.messaging.events import EXCHANGE, Message

ATTEMPT = "x-attempt"


def publish(
    broker: str | Connection,
    message: Message,
    *,
    headers: Mapping[str, str] | None = None,
    queue: str | None = None,
) -> None:
    """Send a message to all who listen to its name, or to one queue only; the broker has it when this returns.

    clew adds the IDs of the current request. A URL is connected to for this one message: hand over a connection to
    send many.
    """
    if isinstance(broker, str):
        with connect(broker) as connection:
            publish(connection, message, headers=headers, queue=queue)
        return
    if queue is None:
        restore_queues(broker)
    properties = {"message_id": message.id, "type": message.name, "reply_to": message.reply_to}
    all_headers = {**(headers or {}), ATTEMPT: message.attempt}
    _send(broker, json.dumps(message.body), queue=queue, headers=all_headers, properties=properties)


def send_again(connection: Connection, delivery: Delivery, queue: str, *, headers: Mapping[str, Any]) -> None:
    """Send what was delivered to a queue, byte for byte and with more headers, whether it can be read or not."""
    properties = {name: delivery.properties.get(name) for name in ("message_id", "type", "reply_to")}
    _send(connection, delivery.body, queue=queue, headers={**delivery.headers, **headers}, properties=properties)


def read(delivery: Delivery) -> Message:
    """The message that was delivered. Raises `ValueError` or `TypeError` for what is none."""
    body = json.loads(delivery.body)
    if not isinstance(body, dict):
        raise TypeError(f"a {type(body).__name__}")
    properties = delivery.properties
    return Message(
        id=properties.get("message_id", ""),
        name=properties.get("type") or delivery.delivery_info.get("routing_key", ""),
        body=body,
        attempt=attempt_of(delivery),
        reply_to=properties.get("reply_to"),
    )


def attempt_of(delivery: Delivery) -> int:
    """The how manieth attempt a delivery is."""
    attempt = delivery.headers.get(ATTEMPT)
    return attempt if isinstance(attempt, int) else 1


def _send(
    connection: Connection,
    body: str | bytes,
    *,
    queue: str | None,
    headers: Mapping[str, Any],
    properties: Mapping[str, str | None],
) -> None:
    Producer(connection, auto_declare=False).publish(
        body,
        exchange="" if queue else EXCHANGE,
        routing_key=queue or properties["type"],
        headers=dict(headers),
        content_type="application/json",
        content_encoding="utf-8",
        delivery_mode="persistent",
        confirm_timeout=CONFIRM_TIMEOUT_S,
        **{name: value for name, value in properties.items() if value is not None},
    )
