"""What all message libraries have in common: sending, and processing what was sent.

Names and attributes by https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/. A consumer continues its
producer's trace and links to it; one that takes many messages at once begins a trace of its own (or goes on in the one
that is current) and links to each message's.
"""

from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Final, Self

from opentelemetry.util.types import AnyValue

from clew import fields
from clew.clients.outgoing import begin_call
from clew.context import CURRENT, SPAN_KEY, restore
from clew.failures import type_name
from clew.incoming import CONSUMER, PRODUCER, Following, SentHeaders, sender_of

SYSTEM: Final = "messaging.system"
DESTINATION: Final = "messaging.destination.name"
OPERATION_NAME: Final = "messaging.operation.name"
OPERATION_TYPE: Final = "messaging.operation.type"
MESSAGE_ID: Final = "messaging.message.id"
MESSAGE_COUNT: Final = "messaging.batch.message_count"


class Sending:
    """`with Sending("rabbitmq", "orders") as sending:`, and `sending.headers` go with the message.

    The span is the current one inside of the block; an exception that leaves it is recorded and passed on.
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
        described = {
            SYSTEM: system,
            DESTINATION: destination,
            OPERATION_NAME: operation,
            OPERATION_TYPE: "send",
            **(attributes or {}),
        }
        self.span, self.headers = begin_call(f"{operation} {destination}", PRODUCER, described, traced_by=traced_by)

    def __enter__(self) -> Self:
        if self.span is not None:
            self._token = CURRENT.set(type(context := CURRENT.get())({**context, SPAN_KEY: self.span}))
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


def processing(
    system: str,
    destination: str,
    headers: SentHeaders,
    *,
    operation: str = "process",
    attributes: Mapping[str, AnyValue] | None = None,
) -> Following:
    """One message's work: continues its producer's trace and links to it."""
    described = {
        SYSTEM: system,
        DESTINATION: destination,
        OPERATION_NAME: operation,
        OPERATION_TYPE: "process",
        **(attributes or {}),
    }
    return Following(f"{operation} {destination}", CONSUMER, headers, attributes=described, links_parent=True)


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
    described = {
        SYSTEM: system,
        DESTINATION: destination,
        OPERATION_NAME: operation,
        OPERATION_TYPE: "process",
        MESSAGE_COUNT: len(senders),
        **(attributes or {}),
    }
    links = [sender for sender in senders if sender is not None]
    return Following(f"{operation} {destination}", CONSUMER, attributes=described, links=links)
