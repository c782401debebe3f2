"""The IDs by which a line or a document belongs to a request, found in its fields or in its text."""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from clew_collector.model import record

_TRACE: Final = ("traceid", "xb3traceid")
_SPAN: Final = ("spanid", "xb3spanid")
_CORRELATION: Final = ("correlationid", "requestid", "xrequestid", "xcorrelationid")
"""Names without case and punctuation, the best first: `trace_id`, `trace.id`, `traceId`, `X-Request-ID`."""
_TRACEPARENT: Final = "traceparent"
_NAMES: Final = frozenset((*_TRACE, *_SPAN, *_CORRELATION, _TRACEPARENT))

# What formatters write when there is no request: all lines of a service would seem to belong to one.
_NO_ID: Final = frozenset(("-", "none", "null", "nil", "undefined", "unknown", "n/a"))

# Visible ASCII, as clew's middleware takes it from a header.
_correlation_id = re.compile(r"[\x21-\x7e]{1,128}").fullmatch
_hex = re.compile(r"[0-9a-fA-F]+").fullmatch
_traceparent = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}.*").fullmatch
_punctuation: Final = str.maketrans("", "", "-_. ")
# key=value, key="value" and, for lines of JSON, "key": "value".
_pair = re.compile(
    r"""(?<![\w.-])((?:trace|span|request|correlation|x-request|x-correlation|x-b3-trace|x-b3-span)[._-]?id|traceparent)"""
    r"""["']?(?:=|:[ ]?)["']?([^\s"',;&|\])}]+)""",
    re.IGNORECASE,
).finditer


@record
class Ids:
    """The IDs that a line carries; empty where it carries none. Those of a trace and a span are bytes."""

    trace_id: bytes
    span_id: bytes
    correlation_id: str


NO_IDS: Final = Ids(trace_id=b"", span_id=b"", correlation_id="")


def find_ids(fields: Iterable[tuple[str, str]]) -> Ids:
    """The IDs among named values; of several by one name the first that is one."""
    values: dict[str, str] = {}
    for name, value in fields:
        key = name.translate(_punctuation).lower()
        if key in _NAMES and value.lower() not in _NO_ID:
            values.setdefault(key, value)
    if not values:
        return NO_IDS
    trace_id, span_id = _first_hex(values, _TRACE, 16), _first_hex(values, _SPAN, 8)
    if not trace_id and (parent := _traceparent(values.get(_TRACEPARENT, ""))) is not None:
        trace_id, span_id = bytes.fromhex(parent[1]), bytes.fromhex(parent[2])
    correlation_ids = (values.get(name, "") for name in _CORRELATION)
    return Ids(
        trace_id=trace_id,
        span_id=span_id,
        correlation_id=next(filter(_correlation_id, correlation_ids), ""),
    )


def is_id_name(name: str) -> bool:
    """Whether `find_ids` looks at what has this name."""
    return name.translate(_punctuation).lower() in _NAMES


def pairs_in_text(text: str) -> Iterator[tuple[str, str]]:
    """Names and values of what looks like an ID in a line: `trace_id=...`, `"requestId": "..."`."""
    return ((found[1], found[2]) for found in _pair(text))


def _first_hex(values: dict[str, str], names: tuple[str, ...], size: int) -> bytes:
    """The first value that is an ID of so many bytes; one of half the length, as B3 allows, is filled up."""
    for name in names:
        text = values.get(name, "")
        if len(text) in (2 * size, 16) and _hex(text) is not None and text.strip("0"):
            return bytes.fromhex(text.rjust(2 * size, "0"))
    return b""
