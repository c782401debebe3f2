"""logfmt: `key=value` pairs in one line, values in quotes where they need them (https://brandur.org/logfmt)."""

import json
import re
from typing import Final

from clew.freezing import Frozen
from clew.logs.formats.json_lines import named_values
from clew.logs.formats.line import Line, value_text

_plain_value: Final = re.compile(r"[^\s\"=\\]+").fullmatch
_not_in_keys: Final = re.compile(r"[\s\"=]").sub


def render_logfmt(line: Line) -> str:
    """A line as logfmt."""
    return pairs(named_values(line))


def pairs(values: dict[str, Frozen]) -> str:
    """`a=1 b="two words"`."""
    return " ".join([f"{logfmt_key(key)}={logfmt_value(value)}" for key, value in values.items()])


def logfmt_key(key: str) -> str:
    """A key without what would end it; one that is empty becomes `_`."""
    if not key.isprintable():
        key = "".join([letter if letter.isprintable() else "_" for letter in key])
    return _not_in_keys("_", key) or "_"


def logfmt_value(value: Frozen) -> str:
    """A value, in quotes and escaped as in JSON if it is more than one printable word."""
    text = value_text(value)
    if not text.isprintable():
        # All escaped: there are more line ends than those that JSON escapes.
        return json.dumps(text)
    return text if _plain_value(text) else json.dumps(text, ensure_ascii=False)
