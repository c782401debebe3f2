"""confluent-kafka: each record carries the IDs of the request that sent it.

Its `Producer` is written in C and cannot be changed, so a subclass takes its place under every name that it was
imported by, and among the bases of every class. A consumer's `poll` is only a call, of which nobody can tell where the
work on its message ends: `with processing(message):` says it.
"""

import functools
import sys
from collections.abc import Callable, Iterable
from typing import Any, Final

import confluent_kafka
from confluent_kafka import KafkaException
from confluent_kafka.cimpl import Producer as CProducer
from opentelemetry.context.context import Context
from opentelemetry.trace import StatusCode

from clew import fields
from clew.context import CURRENT, SPAN_KEY
from clew.incoming import Following, Resumed
from clew.messaging import kafka, operations
from clew.messaging.operations import Sending
from clew.runtime import RUNTIME

_OTEL: Final = "opentelemetry.instrumentation.confluent_kafka"
_ARGUMENTS: Final = ("topic", "value", "key", "partition", "callback", "on_delivery", "timestamp", "headers")
"""Of `produce`, by their positions."""

_CALLBACKS: Final = ("callback", "on_delivery")
_TOO_LARGE: Final = confluent_kafka.KafkaError.MSG_SIZE_TOO_LARGE

Message = confluent_kafka.Message
Callback = Callable[[Any, Any], Any]


def install() -> None:
    """Put the subclass in the place of `Producer`; twice is the same as once.

    Producers made of `Producer` itself before stay as they were.
    """
    if confluent_kafka.Producer is not CProducer:
        return
    producer = _subclass()
    for subclass in CProducer.__subclasses__():
        if subclass is not producer:
            subclass.__bases__ = tuple(producer if base is CProducer else base for base in subclass.__bases__)
    _replace_everywhere(CProducer, producer)


def processing(message: "Message[Any, Any]") -> Following:
    """`with processing(message):` around the work on one message that `poll` or `consume` returned."""
    attributes = kafka.record_attributes(message.partition(), message.offset(), message.key())
    return operations.processing(kafka.SYSTEM, str(message.topic()), message.headers(), attributes=attributes)


def processing_batch(messages: "Iterable[Message[Any, Any]]") -> Following:
    """`with processing_batch(messages):` around the work on many messages at once."""
    several = list(messages)
    topics = kafka.topics_of(message.topic() for message in several)
    return operations.processing_batch(kafka.SYSTEM, topics, [message.headers() for message in several])


def _subclass() -> type[CProducer]:
    """What `confluent_kafka.Producer` is from now on."""

    class Producer(CProducer):
        # Nothing of its own in an object: only so can it become a base of classes that have C's as theirs.
        __slots__ = ()
        __doc__ = CProducer.__doc__

        @functools.wraps(CProducer.produce)
        def produce(self, *args: Any, **kwargs: Any) -> None:  # type: ignore[override]
            arguments = {**dict(zip(_ARGUMENTS, args, strict=False)), **kwargs}
            topic = arguments.get("topic")
            is_understood = isinstance(topic, str) and len(arguments) == len(args) + len(kwargs)
            if RUNTIME.enabled and is_understood:
                _produce(super().produce, arguments)
            else:
                super().produce(*args, **kwargs)

    Producer.__module__, Producer.__qualname__ = CProducer.__module__, CProducer.__qualname__
    return Producer


def _replace_everywhere(before: type, after: type) -> None:
    """Change what modules have imported: most import their libraries first and call `clew.configure()` then."""
    for module_name, module in list(sys.modules.items()):
        names = getattr(module, "__dict__", None)
        if module_name != __name__ and isinstance(names, dict):
            for name in [name for name, value in list(names.items()) if value is before]:
                names[name] = after


def _produce(produce: Callable[..., None], arguments: dict[str, Any]) -> None:
    topic, context = arguments["topic"], CURRENT.get()
    attributes = kafka.record_attributes(None, None, arguments.get("key"))
    sending = Sending(kafka.SYSTEM, topic, operation="produce", attributes=attributes, traced_by=_OTEL)
    for name in _CALLBACKS:
        if callable(callback := arguments.get(name)):
            arguments[name] = _reporting(callback, topic, sending, context)
    headers = _with_ids(arguments.get("headers"), sending.headers)
    with sending:
        try:
            produce(**{**arguments, "headers": headers})
        except KafkaException as error:
            if headers is arguments.get("headers") or not _is_too_large(error):
                raise
        else:
            return
        # It may be our headers that were too much. Without them it is the service's own matter.
        produce(**arguments)


def _with_ids(given: Any, ids: dict[str, str]) -> Any:
    """The headers of a record with IDs among them. Those that `produce` will refuse stay as they are."""
    pairs = list(given.items()) if isinstance(given, dict) else given
    if not ids or not (pairs is None or isinstance(pairs, list)):
        return given
    return kafka.with_ids(pairs or (), ids)


def _reporting(callback: Callback, topic: str, sending: Sending, context: Context) -> Callback:
    """A delivery callback in the context of the request that sent the message."""

    def report(error: Any, message: Any) -> Any:
        if error is not None and sending.span is not None:
            with Resumed(Context({**context, SPAN_KEY: sending.span})):
                _note_failed_delivery(topic, error)
        with Resumed(context):
            return callback(error, message)

    return report


def _note_failed_delivery(topic: str, error: "confluent_kafka.KafkaError") -> None:
    """A span under the message's own one, which has ended: nobody tells in every case how it went on."""
    sending = Sending(kafka.SYSTEM, topic, operation="deliver", traced_by=_OTEL)
    if sending.span is not None:
        sending.span.set_attribute(fields.ERROR_TYPE, error.name())
        sending.span.set_status(StatusCode.ERROR, error.str())
    sending.end()


def _is_too_large(error: KafkaException) -> bool:
    code = getattr(error.args[0] if error.args else None, "code", None)
    return callable(code) and code() == _TOO_LARGE
