"""Lines of JSON: structlog, ECS, Python's JSON loggers, pino, zap, bunyan, Serilog, Docker and their kin."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

import orjson

from clew_collector.model import Value
from clew_collector.wire.lines.line import DecodedLine, Reading
from clew_collector.wire.lines.structured import decode_fields

MAX_DEPTH: Final = 8
"""Of objects and arrays within each other; what is deeper stays JSON. A protobuf of 100 could not be read back."""
_MAX_INT: Final = 2**63

_half_pair = re.compile("[\ud800-\udfff]").sub


def decode_json(text: str, reading: Reading) -> DecodedLine | None:
    """The line, if it is a JSON object. Keys of objects within it are joined by dots."""
    start = text[:1]
    if start != "{" and not (start.isspace() and text.lstrip().startswith("{")):
        return None
    content = _parsed(text)
    if not isinstance(content, dict):
        return None
    fields: dict[str, Value] = {}
    try:
        _flatten(content, fields, prefix="", depth=1)
    except orjson.JSONEncodeError:  # nested so deeply that it can be read, but not written
        return None
    return decode_fields(fields, text, reading)


def _parsed(text: str) -> Any:
    try:
        return orjson.loads(text)
    except ValueError:
        return _parsed_as_python_writes(text)


def _parsed_as_python_writes(text: str) -> Any:
    """JSON with `NaN`, `Infinity` or halves of surrogate pairs, all of which are kept as text."""
    try:
        written = json.dumps(json.loads(text, parse_constant=str), ensure_ascii=False)
        return orjson.loads(_half_pair(lambda half: f"\\\\u{ord(half[0]):04x}", written))
    except (ValueError, RecursionError):
        return None


def _flatten(content: Mapping[str, Any], fields: dict[str, Value], *, prefix: str, depth: int) -> None:
    for key, value in content.items():
        if type(value) is dict and value and depth < MAX_DEPTH:
            _flatten(value, fields, prefix=f"{prefix}{key}.", depth=depth + 1)
        else:
            fields[prefix + key if prefix else key] = _plain(value, depth)


def _plain(value: Any, depth: int) -> Value:
    """A value as an attribute can have it: whole numbers of 64 bits, and nothing too deep."""
    kind = type(value)
    if kind is str or kind is bool or kind is float or value is None:
        return value  # type: ignore[no-any-return]
    if kind is int:
        return value if -_MAX_INT <= value < _MAX_INT else str(value)
    if depth >= MAX_DEPTH:
        return orjson.dumps(value).decode()
    if kind is list:
        return [_plain(item, depth + 1) for item in value]
    return {key: _plain(item, depth + 1) for key, item in value.items()}
