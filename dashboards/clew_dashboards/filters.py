"""Query parameters of lists: from what a person typed to a `RequestQuery` or a `LogQuery`."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any, Final

from clew_collector.model import record
from clew_collector.query import MAX_LIMIT, LogQuery, RequestQuery
from clew_dashboards.wording import NS_PER_MS, NS_PER_S

FILTERS: Final = ("service", "route", "status", "min_duration_ms", "id", "error", "from", "to")
"""Parameters that narrow the list."""

_MAX_TEXT = 1_000
_STATUS = re.compile(r"[1-5](\d\d|xx)")
_AGE = re.compile(r"(\d{1,9})(s|m|h|d)")
_AGE_UNITS_S: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_TRUE = ("true", "1", "yes", "on")
_FALSE = ("false", "0", "no", "off")
_MAX_NS = 2**63 - 1
_MAX_SEVERITY = 24


@record
class Problem:
    """A parameter that cannot be used as it was given."""

    parameter: str
    message: str


@record
class Filters:
    """What was asked: `given` as typed, to be shown again; `query` as understood; `problems` with the rest."""

    given: Mapping[str, str]
    query: RequestQuery
    problems: tuple[Problem, ...]

    @property
    def narrowing(self) -> Mapping[str, str]:
        """Those of the given parameters that narrow the list."""
        return {name: self.given[name] for name in FILTERS if name in self.given}


def read_filters(parameters: Mapping[str, str], *, now_ns: int) -> Filters:
    """Read every parameter, collecting all problems; an empty one counts as absent. `now_ns` anchors ages (`15m`)."""
    given = _given(parameters)
    understood, problems = _understand(given, _READERS, also=("format", "part", "seen"), now_ns=now_ns)
    return Filters(given=given, query=RequestQuery(**understood), problems=tuple(problems))


def read_log_query(parameters: Mapping[str, str], *, now_ns: int) -> tuple[LogQuery, list[Problem]]:
    """Likewise for a list of log records: the query as understood, and all problems with the rest."""
    understood, problems = _understand(_given(parameters), _LOG_READERS, also=("format",), now_ns=now_ns)
    return LogQuery(**understood), problems


def _given(parameters: Mapping[str, str]) -> dict[str, str]:
    return {name: value.strip() for name, value in parameters.items() if value.strip()}


def _understand(
    given: Mapping[str, str], readers: "_Readers", *, also: tuple[str, ...], now_ns: int
) -> tuple[dict[str, Any], list[Problem]]:
    """Fields of a query, and the parameters that are unknown (`also` are known to the page) or cannot be read."""
    known = (*readers, *also)
    problems = [Problem(parameter=name, message=_unknown(name, known)) for name in given if name not in known]
    understood: dict[str, Any] = {}
    for name, (field, read) in readers.items():
        if name not in given:
            continue
        try:
            understood[field] = read(given[name], now_ns)
        except ValueError as error:
            problems.append(Problem(parameter=name, message=f"{error}, got {given[name]!r:.100}"))
    return understood, problems


def _unknown(name: str, known: tuple[str, ...]) -> str:
    close = get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
    return f"is not a parameter of this page; {hint}"


def _read_text(text: str, now_ns: int) -> str:
    if len(text) > _MAX_TEXT:
        raise ValueError(f"must be at most {_MAX_TEXT} characters long")
    return text


def _read_status(text: str, now_ns: int) -> str:
    status = text.lower()
    if not _STATUS.fullmatch(status):
        raise ValueError("must be a code such as 404 or a class such as 5xx")
    return status


def _read_error(text: str, now_ns: int) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise ValueError("must be true or false")


def _read_duration(text: str, now_ns: int) -> int:
    try:
        duration_ms = float(text)
    except ValueError:
        raise ValueError("must be a number of milliseconds") from None
    if not 0 <= duration_ms <= _MAX_NS / NS_PER_MS / 2:
        raise ValueError("must be a number of milliseconds, 0 or more")
    return round(duration_ms * NS_PER_MS)


def read_time(text: str, now_ns: int) -> int:
    """ISO 8601 (UTC if it names no zone), whole nanoseconds since 1970, or an age such as `15m`."""
    if age := _AGE.fullmatch(text):
        return max(0, now_ns - int(age[1]) * _AGE_UNITS_S[age[2]] * NS_PER_S)
    if text.isascii() and text.isdecimal() and int(text) <= _MAX_NS:
        return int(text)
    try:
        # A plus sign left unquoted in a URL arrives as a space.
        moment = datetime.fromisoformat(text.replace(" 0", "+0") if "T" in text else text)
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise ValueError(
            "must be a time such as 2026-03-01T14:00:00Z, nanoseconds since 1970 or an age such as 15m"
        ) from None
    return max(0, round(seconds * 1_000) * NS_PER_MS)


def _read_limit(text: str, now_ns: int) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 9 and 1 <= int(text) <= MAX_LIMIT):
        raise ValueError(f"must be a whole number from 1 to {MAX_LIMIT}")
    return int(text)


def _read_severity(text: str, now_ns: int) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 3 and 1 <= int(text) <= _MAX_SEVERITY):
        raise ValueError(f"must be a SeverityNumber from 1 to {_MAX_SEVERITY} (9 INFO, 13 WARN, 17 ERROR)")
    return int(text)


_Readers = Mapping[str, tuple[str, Callable[[str, int], object]]]
"""By parameter: the query's field, and how to read its value."""

_READERS: Final[_Readers] = {
    "service": ("service", _read_text),
    "route": ("route", _read_text),
    "status": ("status", _read_status),
    "min_duration_ms": ("min_duration_ns", _read_duration),
    "id": ("id", _read_text),
    "error": ("error", _read_error),
    "from": ("from_ns", read_time),
    "to": ("to_ns", read_time),
    "limit": ("limit", _read_limit),
    "cursor": ("cursor", _read_text),
}

_LOG_READERS: Final[_Readers] = {
    "service": ("service", _read_text),
    "min_severity": ("min_severity", _read_severity),
    "text": ("text", _read_text),
    "request_id": ("request_id", _read_text),
    **{name: _READERS[name] for name in ("from", "to", "limit", "cursor")},
}
