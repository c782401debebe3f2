"""What all message libraries have in common: sending, and processing what was sent.

Names and attributes by https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/. A consumer continues its
producer's trace and links to it; one that takes many messages at once begins a trace of its own (or goes on in the one
that is current) and links to each message's.
"""

from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Final, Self

from opentelemetry.util.types import AnyValue

from clew import fields
from clew.clients.outgoing import begin_call, call_headers
from clew.context import CURRENT, SPAN_KEY, restore
from clew.failures import type_name
from clew.incoming import CONSUMER, PRODUCER, Following, SentHeaders, sender_of
from clew.propagation import PARENT_HEADERS, TRACESTATE
from clew.runtime import RUNTIME
from clew.spans import LightSpan

SYSTEM: Final = "messaging.system"
DESTINATION: Final = "messaging.destination.name"
OPERATION_NAME: Final = "messaging.operation.name"
OPERATION_TYPE: Final = "messaging.operation.type"
MESSAGE_ID: Final = "messaging.message.id"
MESSAGE_COUNT: Final = "messaging.batch.message_count"
REDELIVERED: Final = "messaging.message.redelivered"
"""Ours: OpenTelemetry has no name for a message that was delivered before and not acknowledged."""

_SENDING_KEY: Final = "clew.sending"
_PARENT_NAMES: Final = frozenset(name.decode() for name in (*PARENT_HEADERS, TRACESTATE))


class Sending:
    """`with Sending("rabbitmq", "orders") as sending:`, and `sending.headers` go with the message.

    The span is the current one inside of the block; an exception that leaves it is recorded and passed on. A library
    that sends by means of another one is one operation: the inner block makes no span, its headers name the outer one.
    """

    __slots__ = ("_token", "headers", "span")

    def __init__(
        self,
        system: str,
        destination: str,
        *,
        operation: str = "send",
        attributes: Mapping[str, AnyValue] | None = None,
        traced_by: str = "",
    ) -> None:
        """`operation` is the library's own word (`publish`, `send`); `traced_by` as in `outgoing.begin_call`."""
        outer = span_being_sent()
        if outer is not None:
            self.span, self.headers = None, call_headers(outer, CURRENT.get()) if RUNTIME.enabled else {}
            return
        described = _described(system, destination, operation, "send", attributes)
        self.span, self.headers = begin_call(f"{operation} {destination}", PRODUCER, described, traced_by=traced_by)

    def __enter__(self) -> Self:
        if self.span is not None:
            context = CURRENT.get()
            self._token = CURRENT.set(type(context)({**context, SPAN_KEY: self.span, _SENDING_KEY: self.span}))
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        if self.span is not None:
            self.leave()
            self.end(error)

    def leave(self) -> None:
        """Go back to the context before; the span goes on, for a library that tells the outcome later."""
        if self.span is not None:
            restore(self._token)

    def end(self, error: BaseException | None = None) -> None:
        """End the span, failed by `error` if there is one. Twice is as once."""
        if self.span is None:
            return
        if isinstance(error, Exception):
            self.span.set_attribute(fields.ERROR_TYPE, type_name(type(error)))
            self.span.fail(error)
        self.span.end()

    def added_to(self, headers: object) -> dict[Any, Any]:
        """A message's own headers and these, as a new dictionary. A correlation ID that the message has stays; the IDs
        of another call, which it has when it is sent on or again, do not."""
        if not isinstance(headers, Mapping):
            return {**self.headers}
        request_id = RUNTIME.headers.request_id_name
        ours = {name.lower() for name in self.headers if name != request_id}
        if not _PARENT_NAMES.isdisjoint(ours):
            ours |= _PARENT_NAMES
        own = {name: value for name, value in headers.items() if not isinstance(name, str) or name.lower() not in ours}
        chosen = request_id.lower() in {name.lower() for name in own if isinstance(name, str)}
        own.update((name, value) for name, value in self.headers.items() if not chosen or name != request_id)
        return own


class Queueing:
    """`with Queueing(sending):` is the sending's context, for a library that tells the outcome later: only a block that
    fails ends the span."""

    __slots__ = ("_sending",)

    def __init__(self, sending: Sending) -> None:
        self._sending = sending

    def __enter__(self) -> None:
        self._sending.__enter__()

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        self._sending.leave()
        if error is not None:
            self._sending.end(error)


def span_being_sent() -> LightSpan | None:
    """The span of the message that is being sent right here: the innermost `Sending` that has not ended."""
    span = CURRENT.get().get(_SENDING_KEY)
    return span if isinstance(span, LightSpan) and span.end_ns is None else None


def processing(
    system: str,
    destination: str,
    headers: SentHeaders,
    *,
    operation: str = "process",
    attributes: Mapping[str, AnyValue] | None = None,
    correlation_id: str | None = None,
) -> Following:
    """One message's work: continues its producer's trace and links to it. `correlation_id` as in `Following`."""
    described = _described(system, destination, operation, "process", attributes)
    return Following(
        f"{operation} {destination}",
        CONSUMER,
        headers,
        attributes=described,
        correlation_id=correlation_id,
        links_parent=True,
    )


def processing_batch(
    system: str,
    destination: str,
    headers_of_each: Iterable[SentHeaders],
    *,
    operation: str = "process",
    attributes: Mapping[str, AnyValue] | None = None,
) -> Following:
    """The work on many messages at once: linked to each producer."""
    senders = [sender_of(headers) for headers in headers_of_each]
    counted = {MESSAGE_COUNT: len(senders), **(attributes or {})}
    described = _described(system, destination, operation, "process", counted)
    links = [sender for sender in senders if sender is not None]
    return Following(f"{operation} {destination}", CONSUMER, attributes=described, links=links)


def _described(
    system: str, destination: str, operation: str, operation_type: str, attributes: Mapping[str, AnyValue] | None
) -> dict[str, AnyValue]:
    return {
        SYSTEM: system,
        DESTINATION: destination,
        OPERATION_NAME: operation,
        OPERATION_TYPE: operation_type,
        **(attributes or {}),
    }
