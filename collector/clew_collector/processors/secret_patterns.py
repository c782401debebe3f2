"""What secrets look like in a text, as regular expressions of RE2."""

from collections.abc import Callable
from typing import Final, Literal

from clew_collector.model import record

Preset = Literal[
    "credit_card", "email", "ipv4", "jwt", "bearer_token", "basic_auth", "aws_key", "private_key", "us_ssn"
]


@record
class SecretPattern:
    """A regular expression; `check` makes SQL of an SQL expression for a match, true if the match really is one."""

    regex: str
    check: Callable[[str], str] | None = None


def _is_card(match: str) -> str:
    """Luhn's formula (ISO/IEC 7812-1 annex B) over all digits or the first 16: three more may be a card's code."""
    digits = f"regexp_replace({match}, '[^0-9]', '', 'g')"
    return f"({_checks(digits)} OR {_checks(f'left({digits}, 16)')})"


def _checks(digits: str) -> str:
    doubled = "CASE WHEN i % 2 = 1 THEN d::INTEGER ELSE d::INTEGER * 2 // 10 + d::INTEGER * 2 % 10 END"
    return f"list_sum(list_transform(string_split(reverse({digits}), ''), lambda d, i: {doubled})) % 10 = 0"


_OCTET: Final = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"

PRESETS: Final[dict[Preset, SecretPattern]] = {
    # Luhn's check alone would take every tenth number for a card: the first digits must be an issuer's, groups must
    # have a card's sizes (https://en.wikipedia.org/wiki/Payment_card_number).
    "credit_card": SecretPattern(
        r"\b(?:4[0-9]|5[0-8]|3[04-9]|6[0-9]|2[2-7])"
        r"(?:[0-9]{11,17}|[0-9]{2}(?:[ -][0-9]{4}){3}(?:[ -][0-9]{3})?|[0-9]{2}[ -][0-9]{6}[ -][0-9]{4,5})\b",
        _is_card,
    ),
    "email": SecretPattern(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}"),
    "ipv4": SecretPattern(rf"\b{_OCTET}(?:\.{_OCTET}){{3}}\b"),
    "jwt": SecretPattern(r"\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*)?"),
    "bearer_token": SecretPattern(r"\b(?i:bearer)[ \t]+[A-Za-z0-9._~+/-]{6,}=*"),
    "basic_auth": SecretPattern(r"\b(?i:basic)[ \t]+[A-Za-z0-9+/]{6,}=*"),
    "aws_key": SecretPattern(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "private_key": SecretPattern(
        r"-----BEGIN [A-Z ]{0,32}PRIVATE KEY-----[^-]*(?:-----END [A-Z ]{0,32}PRIVATE KEY-----)?"
    ),
    "us_ssn": SecretPattern(r"\b[0-9]{3}-[0-9]{2}-[0-9]{4}\b"),
}
