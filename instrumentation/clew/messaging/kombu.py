"""kombu: the IDs travel in a message's headers; a consumer's callbacks run in their message's request.

A message that comes another way is entered by hand: from `SimpleQueue.get()`, `Queue.get()`, or to `on_message`.

    message = queue.get()
    with processing(message):
        ...

What Celery and kombu send each other by themselves (heartbeats, events, remote control, results) is left alone.
"""

import functools
import sys
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any, Final

from kombu.messaging import Consumer, Producer

from clew.clients.wrapping import AnyFunction, wrap
from clew.importing import when_imported
from clew.messaging.amqp import RABBITMQ, Delivery, processing_delivery, publishing
from clew.messaging.operations import Sending
from clew.messaging.quietly import quietly
from clew.runtime import RUNTIME

_SYSTEMS: Final = {"amqp": RABBITMQ}
"""Names of transports that OpenTelemetry calls otherwise."""

_HEADERS_PLACE: Final = 8
"""Where `headers` is among the positional arguments of `Producer.publish` after the body."""

_OWN_SENDERS: Final = ("celery.", "kombu.pidbox")
_OWN_CALLBACKS: Final = ("celery.", "kombu.")


def install() -> None:
    """Wrap producers and consumers; twice is the same as once."""
    wrap(Producer, "publish", _around_publish)
    wrap(Consumer, "receive", _around_receive)
    when_imported("kombu.transport.redis", _install_redis)


def _install_redis() -> None:
    from kombu.transport.redis import Channel

    wrap(Channel, "_get_client", _around_get_client)


def processing(message: Any, *, queue: str = "") -> AbstractContextManager[object]:
    """Enter the request of one message."""
    info = getattr(message, "delivery_info", None)
    info = info if isinstance(info, dict) else {}
    properties = getattr(message, "properties", None)
    delivery = Delivery(
        info.get("exchange"),
        info.get("routing_key"),
        queue,
        info.get("delivery_tag"),
        info.get("redelivered") is True,
        properties.get("message_id") if isinstance(properties, dict) else None,
    )
    connection = getattr(getattr(message, "channel", None), "connection", None)
    system = _system_of(getattr(connection, "client", None))
    return processing_delivery(delivery, getattr(message, "headers", None), system=system)


def _around_publish(original: AnyFunction) -> AnyFunction:
    def publish(self: Any, body: Any, *args: Any, **options: Any) -> Any:
        if not RUNTIME.enabled or _is_called_by(_OWN_SENDERS):
            return original(self, body, *args, **options)
        exchange = options.get("exchange") or self.exchange
        routing_key = args[0] if args else options.get("routing_key")
        routing_key = self.routing_key if routing_key is None else routing_key
        # Of a producer on a connection this is the connection, and asking does not open it.
        system = _system_of(self.connection)
        message_id = options.get("message_id")
        with publishing(
            getattr(exchange, "name", exchange), routing_key, message_id=message_id, system=system
        ) as sending:
            if sending.headers:
                args = _with_ids(args, options, sending)
            return original(self, body, *args, **options)

    return publish


def _with_ids(args: tuple[Any, ...], options: dict[str, Any], sending: Sending) -> tuple[Any, ...]:
    if len(args) <= _HEADERS_PLACE:
        options["headers"] = sending.added_to(options.get("headers"))
        return args
    headers = sending.added_to(args[_HEADERS_PLACE])
    return (*args[:_HEADERS_PLACE], headers, *args[_HEADERS_PLACE + 1 :])


def _around_receive(original: AnyFunction) -> AnyFunction:
    def receive(self: Any, body: Any, message: Any) -> Any:
        if not RUNTIME.enabled or _are_own(self.callbacks or ()):
            return original(self, body, message)
        with processing(message):
            return original(self, body, message)

    return receive


def _are_own(callbacks: Iterable[Callable[..., Any]]) -> bool:
    return all(str(getattr(callback, "__module__", "")).startswith(_OWN_CALLBACKS) for callback in callbacks)


def _is_called_by(modules: tuple[str, ...]) -> bool:
    # The caller of the wrapper that asks: who sends is nowhere else to be seen.
    return str(sys._getframe(2).f_globals.get("__name__", "")).startswith(modules)


def _around_get_client(original: AnyFunction) -> AnyFunction:
    def _get_client(self: Any) -> Any:
        return _quiet_client(original(self))

    return _get_client


@functools.cache
def _quiet_client(client_type: Any) -> Any:
    """The class of the Redis clients that a transport works with; the service's own clients are of another one."""

    def pipeline(self: Any, *args: Any, **options: Any) -> Any:
        pipe = client_type.pipeline(self, *args, **options)
        pipe.execute = quietly(pipe.execute)
        pipe.immediate_execute_command = quietly(pipe.immediate_execute_command)
        return pipe

    methods = {"execute_command": quietly(client_type.execute_command), "pipeline": pipeline}
    return type(client_type.__name__, (client_type,), methods)


def _system_of(connection: Any) -> str:
    try:
        system = connection.get_transport_cls().driver_type
    except AttributeError:
        return "kombu"
    return _SYSTEMS.get(system, str(system))
