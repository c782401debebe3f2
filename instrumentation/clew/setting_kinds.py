"""The kinds of values that settings have: each reads an argument or a variable's text, checks it, or says what would
be right."""

import logging
import re
from collections.abc import Callable, Mapping
from typing import Final, TypeVar
from urllib.parse import unquote, urlsplit

Read = Callable[[object], object]
"""An argument or a variable's text as the setting's value. Raises `WrongError`."""

KindT = TypeVar("KindT")

_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})
_header_name: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_header_value: Final = re.compile(r"[\x20-\x7e]*").fullmatch


class WrongError(ValueError):
    """A value that cannot work; its text says what would."""

    def __init__(self, right: str, *, seen: str | None = None) -> None:
        super().__init__(right)
        self.right = right
        self.seen = seen
        """What to show of the value, when all of it would be too much, or a secret."""


def text(value: object) -> str:
    """Text that is not empty."""
    if isinstance(value, str) and value.strip():
        return value
    raise WrongError("text that is not empty")


def flag(value: object) -> bool:
    """True or False; in a variable also 1, yes, on and their opposites."""
    if isinstance(value, bool):
        return value
    word = value.strip().lower() if isinstance(value, str) else None
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise WrongError("True or False (in a variable: true or false)")


def level(value: object) -> int:
    """A level of `logging`, by number or name."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    known = logging.getLevelNamesMapping()
    word = value.strip() if isinstance(value, str) else ""
    if word.isdigit():
        return int(word)
    if word.upper() in known:
        return known[word.upper()]
    raise WrongError(f"a number or one of {', '.join(known)}")


def one_of(*words: str) -> Read:
    """One of these words."""

    def read(value: object) -> str:
        if isinstance(value, str) and value.strip().lower() in words:
            return value.strip().lower()
        raise WrongError(f"one of {', '.join(words)}")

    return read


def whole(*, least: int, most: int = 1 << 40) -> Read:
    """A whole number within these bounds."""

    def read(value: object) -> int:
        try:
            number = int(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else None
        except ValueError:
            number = None
        if number is None or not least <= number <= most:
            raise WrongError(f"a whole number from {least} to {most}")
        return number

    return read


def number(*, least: float, most: float) -> Read:
    """A number within these bounds."""

    def read(value: object) -> float:
        try:
            found = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else None
        except ValueError:
            found = None
        if found is None or not least <= found <= most:
            raise WrongError(f"a number from {least:g} to {most:g}")
        return found

    return read


def milliseconds(read_seconds: Read) -> Read:
    """A number of milliseconds, as OpenTelemetry's variables give times, for a setting in seconds."""

    def read(value: object) -> object:
        try:
            return read_seconds(float(str(value)) / 1_000)
        except (ValueError, WrongError):
            raise WrongError("a number of milliseconds") from None

    return read


def seconds_or_milliseconds(read_seconds: Read) -> Read:
    """OTEL_EXPORTER_OTLP_TIMEOUT: milliseconds by the specification, seconds by OpenTelemetry for Python. 100 and more
    are read as the former."""

    def read(value: object) -> object:
        try:
            given = float(str(value))
        except ValueError:
            raise WrongError("a number of milliseconds") from None
        return read_seconds(given / 1_000 if given >= 100 else given)

    return read


def names(value: object) -> tuple[str, ...]:
    """Words with commas between, or a list of them."""
    if isinstance(value, str):
        return tuple(word.strip() for word in value.split(",") if word.strip())
    if isinstance(value, (list, tuple, set, frozenset)) and all(isinstance(word, str) and word for word in value):
        return tuple(value)
    raise WrongError("a list of texts (in a variable: with commas between)")


def names_of(*known: str) -> Read:
    """Some of these words."""

    def read(value: object) -> tuple[str, ...]:
        found = tuple(word.lower() for word in names(value))
        if unknown := [word for word in found if word not in known]:
            raise WrongError(f"some of {', '.join(known)}", seen=repr(unknown[0]))
        return found

    return read


def patterns(value: object) -> tuple[str, ...]:
    """Regular expressions."""
    found = names(value)
    for pattern in found:
        try:
            re.compile(pattern)
        except re.error as error:
            raise WrongError(f"regular expressions ({error})", seen=repr(pattern)) from None
    return found


def pairs(value: object) -> Mapping[str, str]:
    """A mapping of texts; in a variable `key=value,key2=value%202`, as OpenTelemetry's specification writes it."""
    if isinstance(value, Mapping):
        if all(isinstance(key, str) and isinstance(item, str) for key, item in value.items()):
            return dict(value)
        raise WrongError("a mapping of names to texts")
    if not isinstance(value, str):
        raise WrongError("a mapping of names to texts")
    found: dict[str, str] = {}
    for member in value.split(","):
        key, separator, item = member.partition("=")
        if separator and key.strip():
            found[unquote(key.strip())] = unquote(item.strip())
        elif member.strip():
            # Only the part that is wrong: the others may hold secrets.
            raise WrongError("key=value pairs with commas between", seen=repr(member.strip()))
    return found


def headers(value: object) -> Mapping[str, str]:
    """HTTP headers."""
    if value is not None and not isinstance(value, (Mapping, str)):
        raise WrongError("a mapping of names to texts")
    found = value if isinstance(value, Mapping) else pairs(value)
    for name, item in found.items():
        valid_name = isinstance(name, str) and _header_name(name)
        if not valid_name or not isinstance(item, str) or not _header_value(item):
            # The value is left out on purpose: it is likely a secret.
            raise WrongError("a header's name and its value in plain ASCII", seen=f"headers[{name!r}]")
    return dict(found)


def header_name(value: object) -> str:
    """The name of an HTTP header."""
    if isinstance(value, str) and _header_name(value):
        return value
    raise WrongError("the name of an HTTP header")


def header_names(value: object) -> tuple[str, ...]:
    """Names of HTTP headers; none at all is fine."""
    return tuple(header_name(name) for name in names(value))


def address(*, example: str, of_signal: bool = False) -> Read:
    """An address of http or https: the collector's base address, or that of one signal."""
    right = f"the collector's {'address for this signal' if of_signal else 'base address'}, such as {example}"

    def read(value: object) -> str:
        if not isinstance(value, str):
            raise WrongError(right)
        try:
            url = urlsplit(value)
            valid = url.scheme in ("http", "https") and bool(url.hostname) and (url.port is None or url.port > 0)
        except ValueError:
            valid = False
        if not valid:
            raise WrongError(right)
        if not of_signal and url.path.rstrip("/").endswith(("/v1/traces", "/v1/logs")):
            raise WrongError(f"{right}: without /v1/traces or /v1/logs, which are added")
        return value

    return read
