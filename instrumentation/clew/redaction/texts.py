"""What a secret looks like in a text: `password=...`, a bearer token, a JWT, a private key, `user:password@host`.

Every pattern takes time in proportion to the text, whatever is in it: each starts at a literal or at the beginning of a
word, and what repeats in it cannot match in two ways. A cheap look for a character that it needs comes first.
"""

import base64
import binascii
import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from clew.redaction.cards import may_have_card, redact_cards
from clew.redaction.keys import SECRET_KEYS
from clew.runtime import RUNTIME

REDACTED: Final = "REDACTED"

_WORDS: Final = (*SECRET_KEYS, "x-amz-credential", "signature", "sig")
_SHORT: Final = 4
"""Words of fewer letters count only at the beginning of a word: not the end of `design=`."""

_header: Final = re.compile(
    r"(?i)\b((?:proxy-)?authorization|(?:set-)?cookie|x-api-key|x-auth-token)(:[ \t]{0,8})[^\s\"'][^\r\n\"']*"
)
_scheme: Final = re.compile(r"\b([Bb]earer|[Bb]asic|BEARER|BASIC)([ \t]{1,8})([A-Za-z0-9._~+/-]{6,}=*)")
_jwt: Final = re.compile(r"(?<![\w-])eyJ[\w-]{5,}\.[\w-]{5,}(?:\.[\w-]*)?", re.ASCII)
_aws_key: Final = re.compile(r"(?<![0-9A-Za-z])(?:AKIA|ASIA)[0-9A-Z]{16}(?![0-9A-Za-z])")
_private_key: Final = re.compile(
    r"-----BEGIN [A-Z ]{0,32}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,32}PRIVATE KEY-----|\Z)", re.DOTALL
)
_user_info: Final = re.compile(r"(://)[^\s/?#@:\"'<>]*:[^\s/?#\"'<>]*@")
_signed_query: Final = re.compile(
    r"(?<![^&?])(AWSAccessKeyId|Signature|sig|X-Goog-Signature|X-Amz-Signature|X-Amz-Credential|X-Amz-Security-Token)"
    r"=[^&#]*"
)

_NO_TOKENS: Final = frozenset({"token", "tokens", "scheme", "authentication", "authorization", "credentials"})
"""Words that follow "Bearer" where somebody speaks about it."""

_POSITIONS: Final = ("page", "next", "sync", "continuation", "pagination")
"""Words before "token" that make it one of a position."""

_MAX_KNOWN: Final = 4_096
_MAX_KNOWN_LENGTH: Final = 128
_SHORTEST: Final = 12
"""Characters of the shortest bearer token with its scheme; a card number has one more."""
_SHORTEST_KEY: Final = 17
_MAX_PAIRS: Final = 64
_ENDING: Final = 3


class SecretTexts:
    """Takes secrets out of texts; short texts without one are remembered, since most lines have been seen before."""

    def __init__(self, patterns: Iterable[str] = (), keys: Iterable[str] = ()) -> None:
        words = (*_WORDS, *keys)
        self._pairs = re.compile(_pairs_pattern(words))
        self._endings = {word[-_ENDING:].lower() for word in words}
        self._own = [re.compile(pattern) for pattern in patterns]
        self._clean: set[str] = set()

    def redact(self, text: str) -> str:
        """The text, with REDACTED for each secret in it; the same object if there is none."""
        if text in self._clean:
            return text
        shown = self._redact(text)
        if shown == text:
            if len(text) <= _MAX_KNOWN_LENGTH:
                if len(self._clean) >= _MAX_KNOWN:
                    self._clean.clear()
                self._clean.add(text)
            return text
        return shown

    def _redact(self, text: str) -> str:
        if len(text) >= _SHORTEST:
            text = _redact_tokens(text)
        has_colon = ":" in text
        if has_colon:
            text = _redact_after_colon(text)
        if (has_colon or "=" in text or "%3" in text) and self._may_have_pair(text):
            text = self._pairs.sub(_hide_value, text)
        if self._own:
            for pattern in self._own:
                text = pattern.sub(REDACTED, text)
        return text

    def _may_have_pair(self, text: str) -> bool:
        """A cheap look, since the pattern costs ten times as much: many lines have an `=`, few end a secret's name."""
        if "%3" in text or (":" in text and ('"' in text or "'" in text)):
            return True
        if "=" not in text:
            return False
        before = text.split("=", _MAX_PAIRS)
        if len(before) > _MAX_PAIRS:
            return True
        return any(part.rstrip("\"'\\")[-_ENDING:].lower() in self._endings for part in before[:-1])


def _redact_tokens(text: str) -> str:
    if "earer" in text or "asic" in text or "BEARER" in text or "BASIC" in text:
        text = _scheme.sub(_hide_credentials, text)
    if len(text) >= _SHORTEST_KEY:
        if "-----BEGIN " in text:
            text = _private_key.sub(REDACTED, text)
        if "eyJ" in text:
            text = _jwt.sub(REDACTED, text)
        if "KIA" in text or "SIA" in text:
            text = _aws_key.sub(REDACTED, text)
    return redact_cards(text, REDACTED) if may_have_card(text) else text


def _redact_after_colon(text: str) -> str:
    lower = text.lower()
    if "ation:" in lower or "cookie:" in lower or "-key:" in lower or "-token:" in lower:
        text = _header.sub(rf"\1\2{REDACTED}", text)
    if "://" in text and "@" in text:
        text = _user_info.sub(rf"\1{REDACTED}:{REDACTED}@", text)
    return text


def redact_query(query: str) -> str:
    """A query (or an address that ends in one) without the signatures and credentials that OpenTelemetry's conventions
    name: https://opentelemetry.io/docs/specs/semconv/registry/attributes/url/."""
    if "=" not in query or not RUNTIME.settings.redact:
        return query
    return _signed_query.sub(rf"\1={REDACTED}", query)


def _pairs_pattern(words: Iterable[str]) -> str:
    """`password=...`, `"password": "..."`, and both once more escaped; group 1 is what stays, 2 an opening quote."""
    name = _any_of(words)
    equals = r"(?:=|%3[Dd]|\\{0,3}[\"'][ \t]{0,4}[:=]>?[ \t]{0,4})"
    value = "|".join(
        (
            r"(\\+[\"'])[^\"'\\]*",
            r"(\")(?:[^\"\\]+|\\.)*",
            r"(')(?:[^'\\]+|\\.)*",
            r"(?!(?:None|null|[Tt]rue|[Ff]alse)\b)[^\s&;,\"'<>(){}\[\]\\]+",
        )
    )
    return rf"({name}{equals})(?:{value})"


def _any_of(words: Iterable[str]) -> str:
    """One of these, in any case, with or without something between its words.

    The first letter stands outside of the rest: the regular expression engine then skips to where one of them is.
    """
    by_first: dict[str, list[str]] = defaultdict(list)
    for word in dict.fromkeys(words):
        first, rest = word[0], re.split(r"[-_\s.]+", word[1:])
        by_first[first.lower()].append(r"[-_.]?".join(re.escape(part) for part in rest))
    letters = [
        rf"[{re.escape(first)}{re.escape(first.upper())}](?i:{'|'.join(sorted(rests, key=len, reverse=True))})"
        for first, rests in by_first.items()
    ]
    return f"(?:{'|'.join(letters)})"


def _hide_value(pair: "re.Match[str]") -> str:
    name, start, text = pair[1], pair.start(), pair.string
    before = text[start - 1 : start]
    letters = sum(letter.isalpha() for letter in name)
    if letters < _SHORT and before.isalnum():
        return pair[0]
    if name[0] in "tT" and text[max(0, start - 13) : start].lower().rstrip("_-").endswith(_POSITIONS):
        return pair[0]
    return f"{name}{pair[2] or pair[3] or pair[4] or ''}{REDACTED}"


def _hide_credentials(found: "re.Match[str]") -> str:
    scheme, space, credentials = found.groups()
    if scheme in ("Basic", "basic", "BASIC"):
        hides = b":" in _decoded(credentials)
    else:
        hides = credentials.lower().rstrip(".=") not in _NO_TOKENS
    return f"{scheme}{space}{REDACTED}" if hides else found[0]


def _decoded(credentials: str) -> bytes:
    """What `Basic` encodes, with a colon in it (RFC 7617); empty for a word that only looks so."""
    try:
        return base64.b64decode(credentials, validate=True)
    except (binascii.Error, ValueError):
        return b""
