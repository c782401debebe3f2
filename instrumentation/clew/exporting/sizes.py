"""About how much memory a record takes while it waits. Runs in the middle of somebody's request.

What can be large is text, so text is measured, each character as one byte; everything else is a guess.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from clew.freezing import Frozen

if TYPE_CHECKING:
    from clew.logs.record import LogRecord
    from clew.spans import LightSpan

RECORD_BYTES: Final = 1_024
"""A record with a few short attributes."""

VALUE_BYTES: Final = 64
"""What has attributes of its own, and each value in a list."""


def log_bytes(log: "LogRecord") -> int:
    """The size of a log record."""
    body = log.body
    return RECORD_BYTES + (len(body) if type(body) is str else _bytes_of((body,))) + _bytes_of(log.attributes.values())


def span_bytes(span: "LightSpan") -> int:
    """The size of a finished span."""
    size = RECORD_BYTES
    if type(span.name) is str:
        size += len(span.name)
    if span.attributes:
        size += _bytes_of(span.attributes.values())
    for more in (span.events, span.links):
        for entry in more or ():
            size += VALUE_BYTES + _bytes_of(entry[-1].values())
    if span.status_description:
        size += len(span.status_description)
    return size


def _bytes_of(values: Iterable[Frozen]) -> int:
    size = 0
    for value in values:
        kind = type(value)
        if kind is str or kind is bytes:
            size += len(value)  # type: ignore[arg-type]
        elif kind is tuple:
            size += VALUE_BYTES * len(value) + _bytes_of(value)  # type: ignore[arg-type]
        elif kind is dict:
            size += VALUE_BYTES * len(value) + _bytes_of(value.values())  # type: ignore[arg-type, union-attr]
    return size
