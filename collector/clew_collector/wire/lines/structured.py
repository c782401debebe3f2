"""Named fields, of JSON or logfmt, as what they say by the names that loggers use."""

from collections.abc import Callable, Mapping
from enum import Enum, auto
from functools import lru_cache
from typing import Final, TypeVar

from clew.fields import EXCEPTION_MESSAGE, EXCEPTION_STACKTRACE, EXCEPTION_TYPE
from clew_collector.model import Value
from clew_collector.wire.ids import Ids
from clew_collector.wire.lines.ids import ALIASES, ids_of_fields
from clew_collector.wire.lines.line import DecodedLine, Reading
from clew_collector.wire.lines.severity import severity_of, severity_of_number, severity_of_python
from clew_collector.wire.lines.timestamp import field_time_ns

T = TypeVar("T")


class Role(Enum):
    """What a field is for."""

    TIME = auto()
    LEVEL = auto()
    SEVERITY_NUMBER = auto()
    LEVELNO = auto()
    MESSAGE = auto()
    SERVICE = auto()
    LOGGER = auto()
    ID = auto()
    STACKTRACE = auto()
    EXCEPTION_TYPE = auto()
    EXCEPTION_MESSAGE = auto()


NAMES: Final[Mapping[Role, tuple[str, ...]]] = {
    Role.TIME: ("timestamp", "time", "ts", "asctime", "datetime", "eventtime", "logtime", "t", "date"),
    Role.LEVEL: ("level", "severity", "loglevel", "levelname", "severitytext", "lvl", "l"),
    Role.SEVERITY_NUMBER: ("severitynumber",),
    Role.LEVELNO: ("levelno",),
    Role.MESSAGE: ("message", "msg", "event", "body", "m", "log", "text"),
    Role.SERVICE: ("servicename", "service", "application", "app", "appname"),
    Role.LOGGER: ("loglogger", "logger", "loggername", "name"),
    Role.ID: (
        *("traceid", "xb3traceid", "spanid", "xb3spanid", "traceparent"),
        *("correlationid", "requestid", "xrequestid", "xcorrelationid"),
        *ALIASES,
    ),
    Role.STACKTRACE: (
        "errorstacktrace",
        "stacktrace",
        "exceptionstacktrace",
        "excinfo",
        "exception",
        "errstack",
        "stack",
    ),
    Role.EXCEPTION_TYPE: ("exceptiontype", "errortype", "errtype"),
    Role.EXCEPTION_MESSAGE: ("exceptionmessage", "errormessage", "errmessage"),
}
"""Names without case and punctuation (`@timestamp`, `log.level`, `levelName`), the best first."""

_ROLES: Final = {name: (role, rank) for role, names in NAMES.items() for rank, name in enumerate(names)}
_RENAMED: Final = (
    (Role.STACKTRACE, EXCEPTION_STACKTRACE),
    (Role.EXCEPTION_TYPE, EXCEPTION_TYPE),
    (Role.EXCEPTION_MESSAGE, EXCEPTION_MESSAGE),
)
_punctuation: Final = str.maketrans("", "", "-_. @")

Candidates = dict[Role, list[tuple[int, str]]]
"""For each role the keys that may have it, with their rank."""


def decode_fields(fields: dict[str, Value], text: str, reading: Reading) -> DecodedLine:
    """What fields say; `text` is the line, which is the body where no field is the message.

    Takes `fields` over: what is left in it are the attributes. What cannot be read as what its name says stays there.
    """
    candidates = _candidates(fields)
    _name_is_service(fields, candidates)
    number, level = (
        _take(fields, candidates, Role.LEVEL, severity_of)
        or _take(fields, candidates, Role.LEVELNO, severity_of_python)
        or _take(fields, candidates, Role.SEVERITY_NUMBER, severity_of_number)
        or (0, "")
    )
    body = _take(fields, candidates, Role.MESSAGE, _text)
    time_ns = _take(fields, candidates, Role.TIME, lambda value: field_time_ns(value, reading))
    service = _take(fields, candidates, Role.SERVICE, _name) or ""
    logger = _take(fields, candidates, Role.LOGGER, _name) or ""
    for role, name in _RENAMED:
        if role in candidates and name not in fields and (value := _take(fields, candidates, role, _name)):
            fields[name] = value
    return DecodedLine(
        body=text if body is None else body.rstrip("\r\n"),
        time_ns=time_ns,
        severity_number=number,
        severity_text=level,
        service=service,
        logger=logger,
        ids=_take_ids(fields, candidates, searched=body if reading.ids_in_text else None),
        attributes=fields,
    )


def _candidates(fields: Mapping[str, Value]) -> Candidates:
    candidates: Candidates = {}
    for key in fields:
        known = _role(key)
        if known is not None:
            candidates.setdefault(known[0], []).append((known[1], key))
    return candidates


@lru_cache(maxsize=4096)
def _role(key: str) -> tuple[Role, int] | None:
    return _ROLES.get(key.translate(_punctuation).lower())


def _name_is_service(fields: Mapping[str, Value], candidates: Candidates) -> None:
    """Take `name` for the service where pino or bunyan wrote it: they have numbers for levels and name the host."""
    if Role.SERVICE not in candidates and "hostname" in fields and isinstance(fields.get("level"), int):
        candidates[Role.SERVICE] = [each for each in candidates.pop(Role.LOGGER, []) if each[1] == "name"]


def _take(fields: dict[str, Value], candidates: Candidates, role: Role, read: Callable[[Value], T | None]) -> T | None:
    """The first value of a role that can be read; it is taken out of the fields."""
    keys = candidates.get(role)
    if keys is None:
        return None
    for _, key in sorted(keys) if len(keys) > 1 else keys:
        value = read(fields[key])
        if value is not None:
            del fields[key]
            return value
    return None


def _text(value: Value) -> str | None:
    return value if isinstance(value, str) else None


def _name(value: Value) -> str | None:
    return value if isinstance(value, str) and value else None


def _take_ids(fields: dict[str, Value], candidates: Candidates, *, searched: str | None) -> Ids:
    """The IDs; what they were taken from is taken out of the fields."""
    named = [(key, value) for _, key in candidates.get(Role.ID, ()) if isinstance(value := fields[key], str)]
    canonical = ((ALIASES.get(key.translate(_punctuation).lower(), key), value) for key, value in named)
    ids = ids_of_fields(canonical, searched)
    taken = {ids.trace_id.hex(), ids.span_id.hex(), ids.correlation_id}
    for key, value in named:
        if value and (value in taken or value.lower() in taken):
            del fields[key]
    return ids
