"""pika: the IDs travel in a message's `properties.headers`; a consumer's callback runs in its message's request.

A message that comes another way, by `basic_get` or out of the generator `consume()`, is entered by hand:

    for method, properties, body in channel.consume("orders"):
        with processing(method, properties):
            ...
"""

import copy
import functools
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

from opentelemetry.util.types import AnyValue
from pika.adapters.blocking_connection import BlockingChannel
from pika.channel import Channel
from pika.spec import BasicProperties

from clew.clients.wrapping import AnyFunction, wrap
from clew.messaging.amqp import Delivery, processing_delivery, publishing, server_attributes
from clew.messaging.operations import Sending
from clew.runtime import RUNTIME

_OTEL: Final = "opentelemetry.instrumentation.pika"


def install() -> None:
    """Wrap both kinds of channels; twice is the same as once."""
    # A blocking channel publishes through a plain one, and is the one that waits for the broker to confirm.
    for channel_type in (BlockingChannel, Channel):
        wrap(channel_type, "basic_publish", _around_publish)
        wrap(channel_type, "basic_consume", _around_consume)


def processing(method: Any, properties: Any, *, queue: str = "", channel: Any = None) -> AbstractContextManager[object]:
    """Enter the request of one message. Of none, which is what an empty queue gives, there is nothing to enter."""
    if method is None:
        return nullcontext()
    delivery = Delivery(
        getattr(method, "exchange", None),
        getattr(method, "routing_key", None),
        queue,
        getattr(method, "delivery_tag", None),
        getattr(method, "redelivered", False),
        getattr(properties, "message_id", None),
    )
    headers = getattr(properties, "headers", None)
    return processing_delivery(delivery, headers, server=_server(channel), traced_by=_OTEL)


def _around_publish(original: AnyFunction) -> AnyFunction:
    def basic_publish(
        self: Any, exchange: str, routing_key: str, body: Any, properties: Any = None, *args: Any, **options: Any
    ) -> Any:
        if not RUNTIME.enabled:
            return original(self, exchange, routing_key, body, properties, *args, **options)
        message_id = getattr(properties, "message_id", None)
        server = _server(self)
        with publishing(exchange, routing_key, message_id=message_id, server=server, traced_by=_OTEL) as sending:
            if sending.headers:
                properties = _with_ids(properties, sending)
            return original(self, exchange, routing_key, body, properties, *args, **options)

    return basic_publish


def _with_ids(properties: Any, sending: Sending) -> Any:
    # A copy: the caller may send the same properties again, and from another thread.
    carrying = copy.copy(properties) if properties is not None else BasicProperties()
    carrying.headers = sending.added_to(getattr(carrying, "headers", None))
    return carrying


def _around_consume(original: AnyFunction) -> AnyFunction:
    def basic_consume(self: Any, queue: str, on_message_callback: Any, *args: Any, **options: Any) -> Any:
        if callable(on_message_callback) and not _is_pikas_own(on_message_callback):
            on_message_callback = _following(on_message_callback, queue)
        return original(self, queue, on_message_callback, *args, **options)

    return basic_consume


def _is_pikas_own(callback: Callable[..., Any]) -> bool:
    return isinstance(getattr(callback, "__self__", None), BlockingChannel)


def _following(callback: Callable[..., Any], queue: str) -> Callable[..., Any]:
    @functools.wraps(callback)
    def follow(channel: Any, method: Any, properties: Any, body: Any) -> Any:
        with processing(method, properties, queue=queue, channel=channel):
            return callback(channel, method, properties, body)

    return follow


def _server(channel: Any) -> dict[str, AnyValue]:
    connection = getattr(channel, "connection", None)
    # A blocking connection drives one of the other kind.
    parameters = getattr(getattr(connection, "_impl", connection), "params", None)
    return server_attributes(getattr(parameters, "host", None), getattr(parameters, "port", None))
