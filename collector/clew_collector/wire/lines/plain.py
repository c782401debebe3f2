"""Lines of text for people: a time at the beginning, a level near it, IDs anywhere."""

import re
from typing import Final

from clew_collector.wire.ids import NO_IDS
from clew_collector.wire.lines.ids import ids_in_text
from clew_collector.wire.lines.line import DecodedLine, Reading
from clew_collector.wire.lines.severity import NUMBERS
from clew_collector.wire.lines.timestamp import leading_time_ns

_WITHIN: Final = 120
"""A level is looked for in so many characters: further on, a word is more likely to be part of the message."""
_NO_WORDS: Final = frozenset(("log", "http", "config", "fine", "success"))
"""Levels of some logger, but everybody's words."""
_WORDS: Final = "|".join(sorted(NUMBERS.keys() - _NO_WORDS, key=len, reverse=True))
# In capitals anywhere near, or in any case where nothing but a level can be: `[error]`, `level=error`.
_level = re.compile(
    rf"(?:(?<=[\s\[(<|/:-])|^)({_WORDS.upper()})(?=[\s\])>|/:,-]|$)"
    rf"|\[ ?((?i:{_WORDS})) ?\]|\b(?:level|lvl|severity)=\"?(\w+)",
    re.ASCII,
).search
# Or in any case before all else: `error: no such file`.
_first = re.compile(rf"[\s|-]*((?i:{_WORDS}))(?:[:|]|\s+[\[|-])", re.ASCII).match


def decode_plain(text: str, reading: Reading) -> DecodedLine:
    """The line, whatever it is; all of it is the body."""
    stamp = leading_time_ns(text, reading)
    start = 0 if stamp is None else stamp[1]
    number, level = _severity(text, start)
    return DecodedLine(
        body=text,
        time_ns=None if stamp is None else stamp[0],
        severity_number=number,
        severity_text=level,
        ids=ids_in_text(text) if reading.ids_in_text else NO_IDS,
    )


def _severity(text: str, start: int) -> tuple[int, str]:
    near = text[start : start + _WITHIN].partition("\n")[0]
    found = _first(near) or _level(near)
    if found is None:
        return 0, ""
    level = next(group for group in found.groups() if group)
    return NUMBERS.get(level.lower(), 0), level if level.lower() in NUMBERS else ""
