"""The bridge from `logging`: every record that passes gets the IDs, and a copy goes to the collector.

It wraps `Logger.callHandlers`, the one place every record goes through that a logger's level, its `disabled` and its
filters let pass. No handler of ours: `logging.config.dictConfig` would remove it, `propagate = False` would hide
records from it, and a service's handlers are its own.
"""

import logging
from contextlib import suppress
from typing import Any, Final

from clew.context import Ids, active_ids, stamped_ids
from clew.exporting.outage import LOGGER_NAME
from clew.failures import exception_attributes
from clew.freezing import Frozen, freeze, safe_text
from clew.logs.handover import HANDOVER
from clew.logs.record import LogRecord
from clew.logs.severity import severity_of
from clew.runtime import RUNTIME
from clew.spans import Scope

_MARK: Final = "_clew_seen"
_STANDARD: Final = frozenset(
    {*vars(logging.makeLogRecord({})), "message", "asctime", "trace_id", "span_id", "correlation_id", _MARK}
    | {"_logger", "_name", "taskName"}
)
"""Attributes of a record that are not a caller's `extra`."""

_original: Final = logging.Logger.callHandlers


def install() -> None:
    """Wrap `Logger.callHandlers`; twice is the same as once."""
    if logging.Logger.callHandlers is _original:
        logging.Logger.callHandlers = _call_handlers  # type: ignore[assignment, method-assign]


def _call_handlers(logger: logging.Logger, record: logging.LogRecord) -> None:
    if RUNTIME.enabled:
        # The record's own handlers come next, whatever we make of it.
        with suppress(Exception):
            _observe(record)
    _original(logger, record)


def _observe(record: logging.LogRecord) -> None:
    values = record.__dict__
    # A record may be handled a second time, by another logger that somebody passed it on to.
    if _MARK in values or record.name == LOGGER_NAME or record.name.startswith(LOGGER_NAME + "."):
        return
    values[_MARK] = True
    error = record.exc_info[1] if record.exc_info else None
    ids = active_ids()
    if not ids.trace_id and error is not None:
        ids = stamped_ids(error)
    _show(ids, values)
    handed = HANDOVER.take(record)
    if handed is not None:
        body, attributes = handed.body, handed.attributes
    else:
        body, attributes = _message_of(record), _extra_of(values)
        if error is not None:
            attributes.update(exception_attributes(error))
    _add_place(record, attributes)
    time_ns = int(record.created * 1e9)
    RUNTIME.put_log(
        LogRecord(
            scope=Scope(record.name),
            time_ns=time_ns,
            observed_ns=time_ns,
            severity_number=severity_of(record.levelno),
            severity_text=record.levelname,
            body=body,
            attributes=attributes,
            ids=ids,
        )
    )


def _show(ids: Ids, values: dict[str, Any]) -> None:
    """The IDs for formatters; empty outside of a request, so that `%(trace_id)s` never fails."""
    values.setdefault("trace_id", f"{ids.trace_id:032x}" if ids.trace_id else "")
    values.setdefault("span_id", f"{ids.span_id:016x}" if ids.span_id else "")
    values.setdefault("correlation_id", ids.correlation_id or "")


def _message_of(record: logging.LogRecord) -> Frozen:
    if isinstance(record.msg, dict) and not record.args:
        return freeze(record.msg)
    try:
        return safe_text(record.getMessage())
    except Exception:  # noqa: BLE001  (arguments that do not fit; `logging` itself reports that)
        return safe_text(record.msg)


def _extra_of(values: dict[str, Any]) -> dict[str, Frozen]:
    return {key: freeze(value) for key, value in values.items() if key not in _STANDARD}


def _add_place(record: logging.LogRecord, attributes: dict[str, Frozen]) -> None:
    attributes["code.file.path"] = record.pathname
    attributes["code.line.number"] = record.lineno
    attributes["code.function.name"] = record.funcName
    if record.stack_info:
        attributes["code.stacktrace"] = freeze(record.stack_info)
