"""Card numbers in a text: 13 to 19 digits, alone or in groups, that begin and check as cards do.

Luhn's check alone would take every tenth number for a card. So the first digits must be those of an issuer
(ISO/IEC 7812: https://en.wikipedia.org/wiki/Payment_card_number), groups must have a card's sizes, and a number that is
a part of something longer (an ID, a time in nanoseconds) is none.
"""

import re
from typing import Final

_run: Final = re.compile(r"(?<![0-9A-Za-z_])[0-9]+(?:[ -][0-9]+)*(?![0-9A-Za-z_])")
_issuer: Final = re.compile(r"4|5[0-8]|3[04-9]|6|2[2-7]")
_separator: Final = re.compile(r"[ -]")
_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
_MAX_GROUPS: Final = 5
_many_digits: Final = re.compile(r"[0-9][0-9 -]{11}").search
_SHORT_TEXT: Final = 32
"""Characters up to which the regular expression is faster."""

_DIGITS: Final = bytes(ord("0") if 48 <= byte <= 57 else ord("x") if byte not in b" -" else byte for byte in range(256))


def may_have_card(text: str) -> bool:
    """Whether a text has 13 digits in a row, but for spaces and dashes. Cheap, and wrong on one side only."""
    if len(text) < _SHORT_TEXT:
        return _many_digits(text) is not None
    return b"0000000000000" in text.encode("utf-8", "replace").translate(_DIGITS, b" -")


def redact_cards(text: str, replacement: str) -> str:
    """A text with the replacement for each card number in it."""
    return _run.sub(lambda run: _redact_run(run.group(), replacement), text)


def _redact_run(run: str, replacement: str) -> str:
    """Digits in groups, of which some may be a card's and the others, say, its expiry date."""
    if len(run) < 13:
        return run
    groups = _separator.split(run)
    separators = [*_separator.findall(run), ""]
    shown: list[str] = []
    at = 0
    while at < len(groups):
        size = _card_at(groups, separators, at)
        shown += (replacement, separators[at + size - 1]) if size else (groups[at], separators[at])
        at += size or 1
    return "".join(shown)


def _card_at(groups: list[str], separators: list[str], at: int) -> int:
    """How many groups from here on are a card number; 0: none."""
    before = separators[at - 1] if at else ""
    digits = ""
    for size in range(1, min(_MAX_GROUPS, len(groups) - at) + 1):
        end = at + size
        group = groups[end - 1]
        if len(group) > 19 or (size > 1 and separators[end - 2] != separators[at]):
            return 0
        digits += group
        if len(digits) > 19 or (size > 1 and (len(groups[at]) != 4 or len(group) > 10)):
            return 0
        # With a dash before or after, it is a part of some longer ID, such as a UUID.
        is_whole = before != "-" and separators[end - 1] != "-"
        if is_whole and len(digits) >= 13 and _issuer.match(digits) and _checks(digits):
            return size
    return 0


def _checks(digits: str) -> bool:
    """Luhn's formula, ISO/IEC 7812-1 annex B."""
    values = [ord(digit) - 48 for digit in reversed(digits)]
    return (sum(values[::2]) + sum(_DOUBLED[value] for value in values[1::2])) % 10 == 0
