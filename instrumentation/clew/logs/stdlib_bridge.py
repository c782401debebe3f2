"""The bridge from `logging`: every record that passes gets the IDs, and a copy goes to the collector.

It wraps `Logger.callHandlers`, the one place every record goes through that a logger's level, its `disabled` and its
filters let pass. No handler of ours: `logging.config.dictConfig` would remove it, `propagate = False` would hide
records from it, and a service's handlers are its own.
"""

import logging
from collections.abc import Mapping
from typing import Any, Final

from clew.exporting.outage import LOGGER_NAME
from clew.failures import exception_attributes
from clew.freezing import Frozen, freeze, safe_text
from clew.logs.handover import HANDOVER
from clew.logs.passing import PASSING, PassingLine
from clew.logs.record import LogRecord
from clew.logs.severity import severity_of
from clew.logs.taken_over import ID_NAMES, ids_for, request_baggage, show_always
from clew.runtime import RUNTIME
from clew.spans import Scope

ACCESS_LOGGERS: Final = frozenset(
    {"uvicorn.access", "gunicorn.access", "hypercorn.access", "granian.access", "_granian.access"}
)
"""The servers' own access logs: silent where clew writes one."""

_MARK: Final = "_clew_seen"
_STANDARD: Final = frozenset(
    {*vars(logging.makeLogRecord({})), "message", "asctime", *ID_NAMES, _MARK, "_logger", "_name", "taskName"}
)
"""Attributes of a record that are not a caller's `extra`."""

_original: Final = logging.Logger.callHandlers


class SeenExtra(dict[str, Any]):
    """loguru's `extra` of a line that was exported: wherever the line goes from there, this goes with it."""


def install() -> None:
    """Wrap `Logger.callHandlers`; twice is the same as once."""
    if logging.Logger.callHandlers is _original:
        # Who looks for a line's caller passes over the frames of `logging`'s own file, and must pass over this one.
        code = _call_handlers.__code__
        _call_handlers.__code__ = code.replace(co_filename=logging.Logger.info.__code__.co_filename)
        logging.Logger.callHandlers = _call_handlers  # type: ignore[assignment, method-assign]


def describe(record: logging.LogRecord) -> LogRecord:
    """A record as the collector gets it. Runs code of the host, which may raise."""
    values = record.__dict__
    error = record.exc_info[1] if record.exc_info else None
    handed = HANDOVER.take(record)
    if handed is not None:
        body, attributes = handed.body, handed.attributes
    else:
        body, attributes = _body_of(record), _extra_of(values)
        if error is not None:
            attributes.update(exception_attributes(error))
    for key, value in request_baggage().items():
        attributes.setdefault(key, value)
    _add_place(record, attributes)
    time_ns = int(record.created * 1e9)
    return LogRecord(
        scope=Scope(record.name),
        time_ns=time_ns,
        observed_ns=time_ns,
        severity_number=severity_of(record.levelno),
        severity_text=record.levelname,
        body=body,
        attributes=attributes,
        ids=ids_for(error),
    )


def message_of(record: logging.LogRecord) -> str:
    """A record's text. Never raises."""
    try:
        return safe_text(record.getMessage())
    except Exception:  # noqa: BLE001  (arguments that do not fit; `logging` itself reports that)
        return safe_text(record.msg)


def _call_handlers(logger: logging.Logger, record: logging.LogRecord) -> None:
    if not RUNTIME.enabled:
        _original(logger, record)
        return
    if record.name in ACCESS_LOGGERS and RUNTIME.settings.access_log:
        return
    outer = PASSING.line
    try:  # noqa: SIM105  (`suppress` takes a quarter of a microsecond more)
        _observe(record, outer)
    except Exception:  # noqa: BLE001, S110  (the record's own handlers come next, whatever we make of it)
        pass
    try:
        _original(logger, record)
    finally:
        PASSING.line = outer


def _observe(record: logging.LogRecord, outer: PassingLine | None) -> None:
    values = record.__dict__
    # A record may be handled a second time, by another logger that somebody passed it on to.
    if _MARK in values:
        return
    values[_MARK] = True
    described = describe(record)
    show_always(described.ids, request_baggage(), values)
    text = message_of(record)
    if outer is not None and outer.is_same(record, record.levelno, text):
        return
    PASSING.line = PassingLine(record, record.levelno, text, described)
    is_own = record.name == LOGGER_NAME or record.name.startswith(LOGGER_NAME + ".")
    if not is_own and not isinstance(values.get("extra"), SeenExtra):
        RUNTIME.put_log(described)


def _body_of(record: logging.LogRecord) -> Frozen:
    """What was logged: text, or a mapping as it is; one by structlog for its own formatter has its text in it."""
    message = record.msg
    if not isinstance(message, Mapping) or record.args:
        return message_of(record)
    return freeze(message["event"] if "_from_structlog" in record.__dict__ and "event" in message else message)


def _extra_of(values: dict[str, Any]) -> dict[str, Frozen]:
    return {key: freeze(value) for key, value in values.items() if key not in _STANDARD}


def _add_place(record: logging.LogRecord, attributes: dict[str, Frozen]) -> None:
    attributes["code.file.path"] = record.pathname
    attributes["code.line.number"] = record.lineno
    attributes["code.function.name"] = record.funcName
    if record.stack_info:
        attributes["code.stacktrace"] = freeze(record.stack_info)
