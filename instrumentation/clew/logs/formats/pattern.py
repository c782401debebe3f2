"""Lines by a pattern of the service's own: `{time:%H:%M:%S} {level:<8} {correlation_id} {message} {fields}`."""

from collections.abc import Callable
from datetime import datetime
from string import Formatter
from typing import Final

from clew import fields
from clew.freezing import Frozen
from clew.logs.formats.line import Line, iso_time, value_text
from clew.logs.formats.logfmt import pairs
from clew.runtime import RUNTIME

_STACKTRACE: Final = fields.EXCEPTION_STACKTRACE
_EXCEPTION: Final = frozenset({fields.EXCEPTION_TYPE, fields.EXCEPTION_MESSAGE, _STACKTRACE})


class Pattern:
    """Renders lines by a pattern. Raises `ValueError`, which lists the names there are, for one that cannot work."""

    def __init__(self, pattern: str) -> None:
        self._parts = [_part(*parsed) for parsed in _parse(pattern)]
        self._has_exception = any(name == "exception" for _, name, _ in self._parts)

    def __call__(self, line: Line) -> str:
        """The line; a stack trace that the pattern has no place for comes below it."""
        shown = "".join(
            [literal + (format(_VALUES[name](line), spec) if name else "") for literal, name, spec in self._parts]
        )
        return shown if self._has_exception else with_exception(shown, line)


class Moment:
    """A time: ISO 8601 in UTC, or local time as `strftime` says after the colon."""

    def __init__(self, time_ns: int) -> None:
        self._time_ns = time_ns

    def __format__(self, spec: str) -> str:
        if "%" in spec:
            return datetime.fromtimestamp(self._time_ns / 1e9).astimezone().strftime(spec)
        return format(iso_time(self._time_ns), spec)


def with_exception(shown: str, line: Line) -> str:
    """A line, and the stack trace of its exception below."""
    trace = exception_text(line)
    return f"{shown}\n{trace}" if trace else shown


def exception_text(line: Line) -> str:
    """The stack trace, empty if there is none."""
    trace = line.fields.get(_STACKTRACE)
    return visible(trace.rstrip(), indent="") if isinstance(trace, str) else ""


def other_fields(line: Line) -> dict[str, Frozen]:
    """The fields but for the exception's, which a stack trace says."""
    return {key: value for key, value in line.fields.items() if key not in _EXCEPTION or _STACKTRACE not in line.fields}


def visible(text: str, *, indent: str = "    ") -> str:
    """A text that cannot move a terminal's cursor, nor pass for a line of its own."""
    if text.isprintable():
        return text
    return "".join(
        [
            letter if letter.isprintable() or letter == "\t" else f"\n{indent}" if letter == "\n" else _escaped(letter)
            for letter in text
        ]
    )


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")


_VALUES: Final[dict[str, Callable[[Line], object]]] = {
    "time": lambda line: Moment(line.time_ns),
    "level": lambda line: line.level.upper(),
    "logger": lambda line: visible(line.logger),
    "correlation_id": lambda line: value_text(line.fields.get("correlation_id", line.correlation_id)),
    "trace_id": lambda line: line.trace_id,
    "span_id": lambda line: line.span_id,
    "message": lambda line: visible(line.message),
    "fields": lambda line: pairs(other_fields(line)),
    "service": lambda line: RUNTIME.settings.service,
    "exception": exception_text,
}


def _parse(pattern: str) -> list[tuple[str, str | None, str | None, str | None]]:
    try:
        return list(Formatter().parse(pattern))
    except ValueError as error:
        raise ValueError(f"{_must_be()}, got {pattern!r} ({error})") from None


def _part(literal: str, name: str | None, spec: str | None, conversion: str | None) -> tuple[str, str, str]:
    """One piece of literal text, and the value after it with its format."""
    if name is None:
        return literal, "", ""
    if name not in _VALUES or conversion:
        raise ValueError(f"{_must_be()}, got {{{name}{'!' + conversion if conversion else ''}}}")
    try:
        format(Moment(0) if name == "time" else "", spec or "")
    except ValueError as error:
        raise ValueError(f"{_must_be()}, got {{{name}:{spec}}} ({error})") from None
    return literal, name, spec or ""


def _must_be() -> str:
    names = " ".join(f"{{{name}}}" for name in _VALUES)
    return f"clew.configure: log_pattern must be text with some of {names} (a format may follow: {{level:<8}})"
