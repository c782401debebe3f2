"""What both libraries for Kafka have in common: a record's headers and attributes."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from opentelemetry.util.types import AnyValue

from clew.propagation import PARENT_HEADERS, TRACESTATE
from clew.runtime import RUNTIME

SYSTEM: Final = "kafka"
PARTITION: Final = "messaging.destination.partition.id"
OFFSET: Final = "messaging.kafka.offset"
KEY: Final = "messaging.kafka.message.key"
GROUP: Final = "messaging.consumer.group.name"

_MAX_KEY_BYTES: Final = 256
_PARENT_NAMES: Final = frozenset(name.decode() for name in (*PARENT_HEADERS, TRACESTATE))

RecordHeaders = list[tuple[str, bytes]]


def record_headers(ids: Mapping[str, str]) -> RecordHeaders:
    """IDs as a record's headers."""
    return [(name, value.encode("utf-8", "replace")) for name, value in ids.items()]


def with_ids(headers: Iterable[Any], ids: Mapping[str, str]) -> list[Any]:
    """A record's headers, and IDs among them, in a new list.

    A service that passes on the headers of a record that it has read must not pass on that record's span; a request ID
    that it chose stays.
    """
    headers = list(headers)
    if not headers:
        return record_headers(ids)
    request_id = RUNTIME.headers.request_id_name
    if any(_name(pair) == request_id.lower() for pair in headers):
        ids = {name: value for name, value in ids.items() if name != request_id}
    replaced = {name.lower() for name in ids}
    if not _PARENT_NAMES.isdisjoint(replaced):
        replaced |= _PARENT_NAMES
    return [*(pair for pair in headers if _name(pair) not in replaced), *record_headers(ids)]


def record_attributes(partition: object, offset: object, key: object) -> dict[str, AnyValue]:
    """Where a record lies, and its key if that is a text; what is not known yet is left out."""
    attributes: dict[str, AnyValue] = {}
    if isinstance(partition, int) and partition >= 0:
        attributes[PARTITION] = str(partition)
    if isinstance(offset, int) and offset >= 0:
        attributes[OFFSET] = offset
    text = _as_text(key)
    if text:
        attributes[KEY] = text
    return attributes


def topics_of(topics: Iterable[object]) -> str:
    """The destination of a batch of records."""
    return ", ".join(sorted({str(topic) for topic in topics}))


def _name(pair: object) -> str | None:
    name = pair[0] if isinstance(pair, (tuple, list)) and pair else None
    return name.lower() if isinstance(name, str) else None


def _as_text(key: object) -> str | None:
    if isinstance(key, bytes) and len(key) <= _MAX_KEY_BYTES:
        try:
            return key.decode()
        except UnicodeDecodeError:
            return None
    return key[:_MAX_KEY_BYTES] if isinstance(key, str) else None
