"""A log record as formats see it: its secrets taken out, its values as text and numbers."""

import json
from functools import lru_cache
from time import gmtime, strftime
from typing import Any, Final, NamedTuple

from clew.freezing import Frozen, safe_text
from clew.logs.record import LogRecord
from clew.redaction import current_redactor

UNNAMED: Final = "structlog"
"""The scope of lines whose logger has no name."""

_PLACE: Final = frozenset({"code.file.path", "code.line.number", "code.function.name"})


class Line(NamedTuple):
    """One log line. IDs are empty outside of a request."""

    time_ns: int
    level: str
    logger: str
    message: str
    trace_id: str
    span_id: str
    correlation_id: str
    fields: dict[str, Frozen]
    """What the caller gave, and `exception.*`."""
    place: dict[str, Frozen]
    """Where the line was written, for those that know: `code.*`."""


def line_of(record: LogRecord) -> Line:
    """A record without its secrets."""
    redactor = current_redactor()
    hide = redactor.field
    fields: dict[str, Frozen] = {}
    place: dict[str, Frozen] = {}
    for key, value in record.attributes.items():
        (place if key in _PLACE else fields)[key] = hide(key, value)
    body, ids = redactor.value(record.body), record.ids
    return Line(
        time_ns=record.time_ns,
        level=record.severity_text.lower(),
        logger="" if record.scope.name == UNNAMED else record.scope.name,
        message=body if type(body) is str else as_json(body),
        trace_id=f"{ids.trace_id:032x}" if ids.trace_id else "",
        span_id=f"{ids.span_id:016x}" if ids.span_id else "",
        correlation_id=ids.correlation_id or "",
        fields=fields,
        place=place,
    )


def iso_time(time_ns: int) -> str:
    """`2026-03-01T12:00:00.123456Z`."""
    second, rest = divmod(time_ns, 1_000_000_000)
    return f"{_second(second)}.{rest // 1_000:06d}Z"


def as_json(value: Any) -> str:
    """JSON of one line. Numbers that JSON does not have (NaN, infinity) and bytes become text."""
    try:
        return _encode(value)
    except (TypeError, ValueError, RecursionError):
        return _encode(_plain(value))


def value_text(value: Frozen) -> str:
    """A value in a line for people: text as it is, the rest as JSON."""
    return value if type(value) is str else as_json(value)


@lru_cache(maxsize=4)
def _second(second: int) -> str:
    return strftime("%Y-%m-%dT%H:%M:%S", gmtime(second))


def _bytes_text(value: object) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else safe_text(value)


def _plain(value: Frozen) -> Any:
    if isinstance(value, float):
        return value if value - value == 0 else str(value)
    if isinstance(value, dict):
        return {safe_text(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


_encode: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=_bytes_text).encode
