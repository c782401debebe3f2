"""aiokafka: each record carries the IDs of the request that sent it, and a loop over a consumer runs in them.

`async for message in consumer` needs nothing: the body is in the message's context until the next message is asked for.
`with processing(message):` is the way around anything else, and tells the span of the block's exceptions.
"""

import asyncio
import copy
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final, TypeAlias

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord
from aiokafka.errors import MessageSizeTooLargeError
from opentelemetry.context.context import Context

from clew.clients.wrapping import wrap
from clew.context import CURRENT
from clew.incoming import Following
from clew.messaging import kafka, operations
from clew.messaging.by_hand import outgoing_headers
from clew.messaging.operations import MESSAGE_COUNT, Queueing, Sending
from clew.runtime import RUNTIME

_OTEL: Final = "opentelemetry.instrumentation.aiokafka"
_HEADERS_POSITION: Final = 4
"""Among the arguments of `send` after topic and value: key, partition, timestamp_ms, headers."""

_LOOP_KEY: Final = "clew.aiokafka.loop"

Record: TypeAlias = "ConsumerRecord[Any, Any]"


def install() -> None:
    """Wrap the producer's `send` and `send_batch`, and the consumer's loop; twice is the same as once."""
    wrap(AIOKafkaProducer, "send", _send)
    wrap(AIOKafkaProducer, "send_batch", _send_batch)
    wrap(AIOKafkaConsumer, "__aiter__", _loop_over)


def processing(message: Record) -> Following:
    """`with processing(message):` around the work on one message.

    Inside of `async for message in consumer` this is the loop's own span, which then ends with the block, failed if the
    block fails; elsewhere, and in a task that begins when the loop has gone on, it is a new one.
    """
    turn = CURRENT.get().get(_LOOP_KEY)
    if not isinstance(turn, _Turn) or turn.place != _place(message):
        return _process(message)
    return turn.taken_over() or _process(message, correlation_id=turn.correlation_id)


def processing_batch(messages: Iterable[Record] | Mapping[Any, Iterable[Record]]) -> Following:
    """`with processing_batch(batch):` around the work on many messages, such as what `getmany` returned."""
    several = messages.values() if isinstance(messages, Mapping) else (messages,)
    records = [record for some in several for record in some]
    topics = kafka.topics_of(record.topic for record in records)
    return operations.processing_batch(kafka.SYSTEM, topics, [record.headers for record in records])


def record_headers() -> kafka.RecordHeaders:
    """The current request's IDs as a record's headers, for `batch.append(..., headers=record_headers())`."""
    return kafka.record_headers(outgoing_headers())


Send = Callable[..., Awaitable["asyncio.Future[Any]"]]


def _send(send: Send) -> Send:
    async def sent(self: AIOKafkaProducer, topic: str, *args: Any, **kwargs: Any) -> "asyncio.Future[Any]":
        if not RUNTIME.enabled:
            return await send(self, topic, *args, **kwargs)
        attributes = kafka.record_attributes(None, None, kwargs.get("key", args[1] if len(args) > 1 else None))
        sending = Sending(kafka.SYSTEM, topic, attributes=attributes, traced_by=_OTEL)
        all_args, all_kwargs = _with_ids(args, kwargs, sending.headers)
        with Queueing(sending):
            try:
                future = await send(self, topic, *all_args, **all_kwargs)
            except MessageSizeTooLargeError:
                # It may be our headers that are too much. Without them it is the service's own matter.
                future = await send(self, topic, *args, **kwargs)
        return _ended_by(future, sending)

    return sent


def _send_batch(send_batch: Send) -> Send:
    async def sent(self: AIOKafkaProducer, batch: Any, topic: str, **kwargs: Any) -> "asyncio.Future[Any]":
        if not RUNTIME.enabled:
            return await send_batch(self, batch, topic, **kwargs)
        count = batch.record_count() if hasattr(batch, "record_count") else 0
        sending = Sending(kafka.SYSTEM, topic, attributes={MESSAGE_COUNT: count}, traced_by=_OTEL)
        with Queueing(sending):
            future = await send_batch(self, batch, topic, **kwargs)
        return _ended_by(future, sending)

    return sent


def _loop_over(iterate: Callable[[Any], AsyncIterator[Record]]) -> Callable[[Any], AsyncIterator[Record]]:
    def iterate_in_context(self: AIOKafkaConsumer) -> AsyncIterator[Record]:
        messages = iterate(self)
        return _Loop(messages, getattr(self, "_group_id", None)) if RUNTIME.enabled else messages

    return iterate_in_context


def _with_ids(
    args: tuple[Any, ...], kwargs: dict[str, Any], ids: Mapping[str, str]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of `send` after the topic, with IDs among the headers. Headers that it will refuse stay."""
    position = _HEADERS_POSITION
    given = args[position] if len(args) > position else kwargs.get("headers")
    if not ids or not isinstance(given, (list, tuple, type(None))):
        return args, kwargs
    headers = kafka.with_ids(given or (), ids)
    if len(args) > position:
        return (*args[:position], headers, *args[position + 1 :]), kwargs
    return args, {**kwargs, "headers": headers}


def _ended_by(future: "asyncio.Future[Any]", sending: Sending) -> "asyncio.Future[Any]":
    if sending.span is not None:
        future.add_done_callback(partial(_delivered, sending))
    return future


def _delivered(sending: Sending, future: "asyncio.Future[Any]") -> None:
    # Not `future.exception()`: who asks takes asyncio's word from it that nobody has looked at the failure.
    error = None if future.cancelled() else getattr(future, "_exception", None)
    if error is None and not future.cancelled() and sending.span is not None:
        place = future.result()
        if hasattr(place, "offset"):
            sending.span.set_attributes(kafka.record_attributes(place.partition, place.offset, None))
    sending.end(error)


class _Loop:
    """An `async for` over a consumer: what it fetches becomes current, until it fetches again or is gone.

    Python lets go of a loop's iterator when the loop ends, by whatever way; that is when the context goes back. The
    context around the loop is the one that it began in: what one turn leaves behind is not there in the next.
    """

    __slots__ = ("_group", "_messages", "_outer", "_turn")

    def __init__(self, messages: AsyncIterator[Record], group: str | None) -> None:
        self._messages = messages
        self._group = group
        self._outer = CURRENT.get()
        self._turn: _Turn | None = None

    def __aiter__(self) -> "_Loop":
        return self

    async def __anext__(self) -> Record:
        self._leave()
        message = await self._messages.__anext__()
        self._turn = turn = _Turn(message, self._group)
        CURRENT.set(turn.context)
        return message

    def __del__(self) -> None:
        self._leave()

    def _leave(self) -> None:
        turn, self._turn = self._turn, None
        if turn is None:
            return
        turn.end()
        # Not so when the loop was in a generator that the garbage collector closes, somewhere else.
        if CURRENT.get().get(_LOOP_KEY) is turn:
            CURRENT.set(self._outer)


class _Turn:
    """One message's turn in a loop."""

    __slots__ = ("_following", "_is_taken_over", "context", "correlation_id", "place")

    def __init__(self, message: Record, group: str | None) -> None:
        self.place = _place(message)
        self._following = _process(message, group=group)
        self._is_taken_over = False
        self.correlation_id = self._following.correlation_id
        self.context = Context({**self._following.context, _LOOP_KEY: self})

    def taken_over(self) -> Following | None:
        """The turn's span for a block that will end it, in a task that may outlive the turn; None when it has ended."""
        if self._following.span.end_ns is not None:
            return None
        self._is_taken_over = True
        return copy.copy(self._following)

    def end(self) -> None:
        """End the turn, unless somebody else does."""
        if not self._is_taken_over:
            self._following.end()


def _place(message: Record) -> tuple[object, object, object]:
    return message.topic, message.partition, message.offset


def _process(message: Record, *, group: str | None = None, correlation_id: str | None = None) -> Following:
    attributes = kafka.record_attributes(message.partition, message.offset, message.key)
    if group is not None:
        attributes[kafka.GROUP] = group
    return operations.processing(
        kafka.SYSTEM, message.topic, message.headers, attributes=attributes, correlation_id=correlation_id
    )
