"""clew's structlog processors: a line gets the IDs, and its values are queued for the collector."""

import logging
import sys
from collections.abc import MutableMapping
from time import time_ns
from typing import Any, Final

from clew.context import Ids
from clew.failures import described_by, exception_attributes
from clew.freezing import Frozen, freeze, safe_text
from clew.logs.formats.line import UNNAMED, as_json
from clew.logs.handover import HANDOVER, Handed, will_pass
from clew.logs.output import OUTPUT
from clew.logs.record import LogRecord
from clew.logs.severity import LEVELS, level_of, severity_of
from clew.logs.taken_over import ID_NAMES, ids_for, request_baggage
from clew.runtime import RUNTIME
from clew.spans import Scope

EventDict = MutableMapping[str, Any]

_NOT_ATTRIBUTES: Final = frozenset(
    {"event", "level", "timestamp", "logger", "exc_info", "exception", "_record", "_from_structlog", *ID_NAMES}
)
_ID_NAMES: Final = frozenset(ID_NAMES)
DEFAULT_SCOPE: Final = Scope(UNNAMED)
_known_severity: Final = {name: (severity_of(level), name.upper()) for name, level in LEVELS.items()}.get


class ClewProcessor:
    """Goes anywhere before the renderer; best before `format_exc_info`, while an exception is still an object."""

    def __call__(self, logger: object, method_name: str, event_dict: EventDict) -> Any:
        """Add `trace_id`, `span_id` and `correlation_id`, and queue the line. Never raises."""
        if RUNTIME.enabled:
            try:
                record = _describe(logger, method_name, event_dict)
                _show(record.ids, event_dict)
                _queue(logger, record, method_name, event_dict)
            except Exception:  # noqa: BLE001, S110  (the line must come out, whatever we make of it)
                pass
        return event_dict


class ClewRenderer(ClewProcessor):
    """The last processor of the chain that clew sets up: the line as text, in the format of the settings."""

    def __call__(self, logger: object, method_name: str, event_dict: EventDict) -> str:
        """Queue the line and render it. Never raises."""
        try:
            record = _describe(logger, method_name, event_dict)
            if RUNTIME.enabled:
                _queue(logger, record, method_name, event_dict)
        except Exception:  # noqa: BLE001  (the line must come out)
            return as_json(freeze(event_dict))
        return OUTPUT.text(record)


def _describe(logger: object, method_name: str, event_dict: EventDict) -> LogRecord:
    # Runs for every line: what few lines have is asked for before it is looked into.
    error = _exception_of(event_dict) if "exc_info" in event_dict else None
    ids = ids_for(error)
    attributes = {key: freeze(value) for key, value in event_dict.items() if key not in _NOT_ATTRIBUTES}
    if RUNTIME.settings.baggage_fields:
        for key, value in request_baggage().items():
            attributes.setdefault(key, value)
            event_dict.setdefault(key, value)
    if not _ID_NAMES.isdisjoint(event_dict):
        _keep_own_ids(ids, event_dict, attributes)
    if error is not None or "exception" in event_dict:
        _add_exception(error, event_dict, attributes)
    level_name = event_dict.get("level", method_name)
    severity_number, severity_text = _known_severity(level_name) or _severity(level_name)
    now_ns = time_ns()
    body = freeze(event_dict.get("event", ""))
    scope = _scope_of(logger, event_dict)
    return LogRecord(scope, now_ns, now_ns, severity_number, severity_text, body, attributes, ids)


def _severity(level_name: object) -> tuple[int, str]:
    return severity_of(level_of(level_name)), safe_text(level_name).upper()


def _queue(logger: object, record: LogRecord, method_name: str, event_dict: EventDict) -> None:
    """Export the line; one that goes on to another logging library is left to the bridge from there."""
    if isinstance(logger, logging.Logger):
        level = level_of(event_dict.get("level", method_name))
        if will_pass(logger, level):
            HANDOVER.give(Handed(logger.name, level, record.body, record.attributes))
    elif type(logger).__module__ != "loguru._logger":
        RUNTIME.put_log(record)


def _show(ids: Ids, event_dict: EventDict) -> None:
    """The IDs on the line as people see it; what the caller bound by that name stays."""
    if ids.trace_id:
        event_dict.setdefault("trace_id", ids.trace_id.to_bytes(16, "big").hex())
        event_dict.setdefault("span_id", ids.span_id.to_bytes(8, "big").hex())
    if ids.correlation_id is not None:
        event_dict.setdefault("correlation_id", ids.correlation_id)


def _keep_own_ids(ids: Ids, event_dict: EventDict, attributes: dict[str, Frozen]) -> None:
    """IDs that the caller bound itself are fields like others, unless they say what is known anyway."""
    for name in ID_NAMES:
        if name in event_dict and event_dict[name] not in ("", None, ids.correlation_id):
            own = safe_text(event_dict[name])
            if own not in (f"{ids.trace_id:032x}", f"{ids.span_id:016x}"):
                attributes[name] = own


def _exception_of(event_dict: EventDict) -> BaseException | None:
    """The exception of `exc_info=`, which may be one, a tuple of three, or true for the current one."""
    given = event_dict.get("exc_info")
    if not given:
        return None
    if isinstance(given, BaseException):
        return given
    if isinstance(given, tuple):
        return given[1] if len(given) == 3 and isinstance(given[1], BaseException) else None
    return sys.exc_info()[1]


def _add_exception(error: BaseException | None, event_dict: EventDict, attributes: dict[str, Frozen]) -> None:
    if error is not None:
        attributes.update(exception_attributes(error))
    elif (rendered := event_dict.get("exception")) is not None:
        attributes.update(described_by(rendered))


def _scope_of(logger: object, event_dict: EventDict) -> Scope:
    name = event_dict.get("logger") or getattr(logger, "name", None)
    return Scope(name) if isinstance(name, str) and name else DEFAULT_SCOPE
