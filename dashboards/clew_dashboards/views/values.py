"""Attribute values and log bodies as text."""

import json
from collections.abc import Iterator
from typing import Final

from clew.fields import URL_FULL
from clew_collector.json_form import value_to_json
from clew_collector.model import Attributes, LogRecord, Span, SpanEvent, Value

_TYPES: Final[dict[type, str]] = {
    str: "string",
    bool: "bool",
    int: "int",
    float: "double",
    bytes: "bytes",
    list: "array",
    dict: "map",
    type(None): "empty",
}
_BESIDE_THE_POINT: Final = (
    "code.",
    "thread.",
    "process.",
    "exception.",
    "log.",
    "telemetry.",
    "service.",
    "correlation.",
)
"""Attributes that would crowd out a line's own ones; the panel shows them all."""


def type_name(value: Value) -> str:
    """The type's name as OpenTelemetry calls it."""
    return _TYPES.get(type(value), type(value).__name__)


def value_text(value: Value) -> str:
    """A value on one page: text as it is, the rest as JSON (bytes in base64)."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    form = value_to_json(value)
    if isinstance(value, bytes):
        return str(form["base64"])
    if isinstance(value, float) and isinstance(form, dict):
        return str(form["double"])
    return json.dumps(form, ensure_ascii=False)


def brief_text(value: Value, *, max_chars: int) -> str:
    """The first line of a value, cut to length."""
    text = value_text(value)
    head = text[: max_chars + 1].lstrip()
    line = head.split("\n", 1)[0].rstrip()
    return line[:max_chars] + "…" if len(line) < len(text.strip()) and line else line


def log_fields(log: LogRecord, *, max_chars: int) -> str:
    """The attributes that say more about a line, as `key=value`, up to a length."""
    return _joined(_telling(log.attributes), max_chars)


def span_fields(span: Span, *, max_chars: int) -> str:
    """Where an outgoing HTTP call went: its span is named by the method alone."""
    url = span.attributes.get(URL_FULL)
    if span.kind != "client" or not isinstance(url, str):
        return ""
    return brief_text(url.partition("://")[2].partition("?")[0], max_chars=max_chars)


def event_text(event: SpanEvent, *, max_chars: int) -> str:
    """What happened, in a line: `TypeError: no such cart` for an exception, else its name."""
    if event.name != "exception":
        return event.name[:max_chars]
    name = value_text(event.attributes.get("exception.type")).rpartition(".")[2]
    message = brief_text(event.attributes.get("exception.message"), max_chars=max_chars)
    return ": ".join(filter(None, (name[:max_chars], message))) or "exception"


def event_fields(event: SpanEvent, *, max_chars: int) -> str:
    """The attributes of an event as `key=value`, up to a length."""
    return _joined(_telling(event.attributes), max_chars)


def _telling(attributes: Attributes) -> Iterator[tuple[str, Value]]:
    return ((key, value) for key, value in attributes.items() if not key.startswith(_BESIDE_THE_POINT))


def _joined(pairs: Iterator[tuple[str, Value]], max_chars: int) -> str:
    text = ""
    for key, value in pairs:
        text += f"{key}={brief_text(value, max_chars=80)} "
        if len(text) > max_chars:
            return text[:max_chars] + "…"
    return text.rstrip()
