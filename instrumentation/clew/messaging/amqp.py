"""What the clients of AMQP 0-9-1 have in common: how a delivery is described, and what runs while it is processed.

Names and attributes by https://opentelemetry.io/docs/specs/semconv/messaging/rabbitmq/. The property `correlation_id`
is the application's, for its replies: it is neither read nor written.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Final, NamedTuple

from opentelemetry.util.types import AnyValue

from clew.clients.outgoing import is_traced_by
from clew.context import CURRENT
from clew.incoming import SentHeaders
from clew.messaging.operations import MESSAGE_ID, REDELIVERED, Sending, processing
from clew.runtime import RUNTIME

RABBITMQ: Final = "rabbitmq"

_ROUTING_KEY: Final = "messaging.rabbitmq.destination.routing_key"
_DELIVERY_TAG: Final = "messaging.rabbitmq.message.delivery_tag"
_ANONYMOUS: Final = "(anonymous)"
_GENERATED: Final = ("amq.gen-", "amq.rabbitmq.reply-to", "amq_")
"""How names begin that a broker or a client made up: each is used once, so a span is not named by it."""


class Delivery(NamedTuple):
    """Where a message has come from; None or empty where a client does not know."""

    exchange: object
    routing_key: object
    queue: object = None
    tag: object = None
    is_redelivered: bool = False
    message_id: object = None


def publishing(
    exchange: object,
    routing_key: object,
    *,
    message_id: object = None,
    system: str = RABBITMQ,
    server: Mapping[str, AnyValue] | None = None,
    traced_by: str = "",
) -> Sending:
    """The sending of one message; `traced_by` as in `outgoing.begin_call`."""
    attributes = _message_attributes(routing_key, message_id, server or {}, system=system)
    destination = _destination_of(exchange, routing_key)
    return Sending(system, destination, operation="publish", attributes=attributes, traced_by=traced_by)


def processing_delivery(
    delivery: Delivery,
    headers: SentHeaders,
    *,
    system: str = RABBITMQ,
    server: Mapping[str, AnyValue] | None = None,
    traced_by: str = "",
) -> AbstractContextManager[object]:
    """The work on one message; nothing at all when clew is off, or when `traced_by` has made a span for it already."""
    if not RUNTIME.enabled or (traced_by and is_traced_by(traced_by, CURRENT.get())):
        return nullcontext()
    attributes = _message_attributes(delivery.routing_key, delivery.message_id, server or {}, system=system)
    if isinstance(delivery.tag, int):
        attributes[_DELIVERY_TAG] = delivery.tag
    if delivery.is_redelivered:
        attributes[REDELIVERED] = True
    destination = _destination_of(delivery.exchange, delivery.routing_key, delivery.queue)
    return processing(system, destination, headers, attributes=attributes)


def server_attributes(host: object, port: object) -> dict[str, AnyValue]:
    """The broker's address, as far as it is known."""
    attributes: dict[str, AnyValue] = {}
    if isinstance(host, str):
        attributes["server.address"] = host
    if isinstance(port, int):
        attributes["server.port"] = port
    return attributes


def _destination_of(exchange: object, routing_key: object, queue: object = None) -> str:
    """`{exchange}:{routing key}:{queue}`, without what is empty or said twice."""
    parts = [_known(part) for part in (exchange, routing_key) if part and isinstance(part, str)]
    if queue and queue != routing_key and isinstance(queue, str):
        parts.append(_known(queue))
    return ":".join(parts) or "amq.default"


def _message_attributes(
    routing_key: object, message_id: object, server: Mapping[str, AnyValue], *, system: str = RABBITMQ
) -> dict[str, AnyValue]:
    """What a span says of a message beside its destination."""
    attributes = dict(server)
    if system == RABBITMQ and routing_key and isinstance(routing_key, str):
        attributes[_ROUTING_KEY] = routing_key
    if message_id and isinstance(message_id, str):
        attributes[MESSAGE_ID] = message_id
    return attributes


def _known(name: str) -> str:
    return _ANONYMOUS if name.startswith(_GENERATED) else name
