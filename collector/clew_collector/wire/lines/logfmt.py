"""Lines of logfmt: `level=info msg="stock is low" order=17`."""

import re
from typing import Final

import orjson

from clew_collector.model import Value
from clew_collector.wire.lines.line import DecodedLine, Reading
from clew_collector.wire.lines.structured import decode_fields

# A key, and after a `=` a quoted value or one that ends with a space. What go-logfmt refuses is read as far as it goes.
_pairs = re.compile(r'([^\s="]+)(?:(=)(?:"((?:[^"\\]|\\.)*)"|([^\s]*)))?').finditer
_begins = re.compile(r'\s*[A-Za-z_@][\w.@/-]*=(?:"|\S)', re.ASCII).match
_MOSTLY: Final = 2
"""So many pairs make a line logfmt, if there are no more words without a value."""


def decode_logfmt(text: str, reading: Reading) -> DecodedLine | None:
    """The line, if there is a pair in it. A key without a value is true."""
    fields = _fields(text)
    return decode_fields(fields, text, reading) if any(value is not True for value in fields.values()) else None


def decode_mostly_logfmt(text: str, reading: Reading) -> DecodedLine | None:
    """The line, if it begins with a pair and is mostly pairs."""
    if _begins(text) is None:
        return None
    fields = _fields(text)
    words = sum(value is True for value in fields.values())
    pairs = len(fields) - words
    return decode_fields(fields, text, reading) if pairs >= max(_MOSTLY, words) else None


def _fields(text: str) -> dict[str, Value]:
    fields: dict[str, Value] = {}
    for found in _pairs(text):
        key, equals, quoted, plain = found.groups()
        if not equals:
            fields.setdefault(key, True)
        elif quoted is None:
            fields[key] = plain
        else:
            fields[key] = _unquoted(quoted) if "\\" in quoted else quoted
    return fields


def _unquoted(quoted: str) -> str:
    """A quoted value without its escapes, which are JSON's; as it is, if they are not."""
    try:
        value: str = orjson.loads(f'"{quoted}"')
    except ValueError:
        return quoted
    return value
