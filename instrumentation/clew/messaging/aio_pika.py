"""aio-pika: the IDs travel in a message's headers; a callback, or the block `async with message.process():`, runs in
its message's request.

A message that is acknowledged by hand is entered by hand:

    async for message in queue.iterator():
        with processing(message):
            ...
            await message.ack()
"""

import functools
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

from aio_pika.exchange import Exchange
from aio_pika.message import ProcessContext
from aio_pika.queue import Queue, QueueIterator
from aio_pika.tools import ensure_awaitable
from opentelemetry.context.context import Context
from opentelemetry.util.types import AnyValue

from clew.clients.wrapping import AnyFunction, wrap
from clew.context import CURRENT
from clew.incoming import Following
from clew.messaging.amqp import Delivery, processing_delivery, publishing, server_attributes
from clew.runtime import RUNTIME

_OTEL: Final = "opentelemetry.instrumentation.aio_pika"
_MESSAGE_KEY: Final = "clew.aio_pika.message"
_ENTERED: Final = "_clew_entered"


def install() -> None:
    """Wrap publishing, consuming and processing; twice is the same as once."""
    wrap(Exchange, "publish", _around_publish)
    wrap(Queue, "consume", _around_consume)
    wrap(ProcessContext, "__aenter__", _around_enter)
    wrap(ProcessContext, "__aexit__", _around_exit)


def processing(message: Any, *, queue: str = "") -> AbstractContextManager[object]:
    """Enter the request of one incoming message, unless its callback runs in it already."""
    if CURRENT.get().get(_MESSAGE_KEY) is message:
        return nullcontext()
    delivery = Delivery(
        getattr(message, "exchange", None),
        getattr(message, "routing_key", None),
        queue,
        getattr(message, "delivery_tag", None),
        getattr(message, "redelivered", None) is True,
        getattr(message, "message_id", None),
    )
    server = _server(getattr(message, "_IncomingMessage__channel", None))
    headers = getattr(message, "headers", None)
    entered = processing_delivery(delivery, headers, server=server, traced_by=_OTEL)
    if isinstance(entered, Following):
        entered.context = Context({**entered.context, _MESSAGE_KEY: message})
    return entered


class _Carrying:
    """A message with other headers, for the one time that it is sent; the message itself stays as it is."""

    __slots__ = ("_headers", "_message")

    def __init__(self, message: Any, headers: dict[Any, Any]) -> None:
        self._message = message
        self._headers = headers

    def __getattr__(self, name: str) -> Any:
        return getattr(self._message, name)

    def __repr__(self) -> str:
        return repr(self._message)

    @property
    def headers(self) -> dict[Any, Any]:
        """Its own and those with the IDs."""
        return self._headers

    @property
    def properties(self) -> Any:
        """Its own but for the headers."""
        properties = self._message.properties
        properties.headers = self._headers
        return properties


def _around_publish(original: AnyFunction) -> AnyFunction:
    async def publish(self: Any, message: Any, routing_key: str, **options: Any) -> Any:
        if not RUNTIME.enabled:
            return await original(self, message, routing_key, **options)
        server = _server(getattr(self.channel, "_connection", None))
        message_id = getattr(message, "message_id", None)
        with publishing(self.name, routing_key, message_id=message_id, server=server, traced_by=_OTEL) as sending:
            if sending.headers:
                message = _Carrying(message, sending.added_to(getattr(message, "headers", None)))
            return await original(self, message, routing_key, **options)

    return publish


def _around_consume(original: AnyFunction) -> AnyFunction:
    async def consume(self: Any, callback: Callable[..., Any], *args: Any, **options: Any) -> Any:
        # An iterator only queues what it is called with: its messages are processed where they are taken out.
        if not isinstance(getattr(callback, "__self__", None), QueueIterator):
            callback = _following(ensure_awaitable(callback), self.name)
        return await original(self, callback, *args, **options)

    return consume


def _following(callback: Callable[..., Awaitable[Any]], queue: str) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(callback)
    async def follow(message: Any) -> Any:
        with processing(message, queue=queue):
            return await callback(message)

    return follow


def _around_enter(original: AnyFunction) -> AnyFunction:
    async def __aenter__(self: Any) -> Any:  # noqa: N807  (it becomes that method)
        entered = processing(self.message)
        entered.__enter__()
        setattr(self, _ENTERED, entered)
        return await original(self)

    return __aenter__


def _around_exit(original: AnyFunction) -> AnyFunction:
    async def __aexit__(self: Any, *error: Any) -> Any:  # noqa: N807  (it becomes that method)
        entered = getattr(self, _ENTERED, None)
        try:
            # The acknowledgement is part of the work.
            return await original(self, *error)
        finally:
            if entered is not None:
                entered.__exit__(*error)

    return __aexit__


def _server(of: Any) -> dict[str, AnyValue]:
    """The address in what is connected: aio-pika's connection, or a channel of the library beneath it."""
    url = getattr(of, "url", None) or getattr(getattr(of, "connection", None), "url", None)
    return server_attributes(getattr(url, "host", None), getattr(url, "port", None))
