"""clew's structlog processor: adds the IDs to a line, and queues its values for the collector."""

import logging
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from time import time_ns
from typing import Any, Final

from clew import fields
from clew.context import Ids, active_ids, stamped_ids
from clew.failures import exception_attributes
from clew.freezing import Frozen, freeze, safe_text
from clew.logs.handover import HANDOVER, Handed, will_pass
from clew.logs.record import LogRecord
from clew.logs.severity import LEVELS, severity_of
from clew.runtime import RUNTIME
from clew.spans import Scope

_IDS: Final = ("trace_id", "span_id", "correlation_id")
_NOT_ATTRIBUTES: Final = frozenset(
    {"event", "level", "timestamp", "logger", "exc_info", "exception", "_record", "_from_structlog", *_IDS}
)
DEFAULT_SCOPE: Final = Scope("structlog")


class ClewProcessor:
    """Goes anywhere before the renderer; best before `format_exc_info`, while an exception is still an object."""

    def __call__(
        self, logger: object, method_name: str, event_dict: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """Add `trace_id`, `span_id` and `correlation_id`, and queue the line. Never raises."""
        if not RUNTIME.enabled:
            return event_dict
        # The line must come out, whatever we make of it.
        with suppress(Exception):
            self._process(logger, method_name, event_dict)
        return event_dict

    def _process(self, logger: object, method_name: str, event_dict: MutableMapping[str, Any]) -> None:
        error = _exception_of(event_dict)
        ids = active_ids()
        if not ids.trace_id and error is not None:
            ids = stamped_ids(error)
        _show(ids, event_dict)
        level_name = event_dict.get("level", method_name)
        level = LEVELS.get(level_name, logging.INFO) if type(level_name) is str else logging.INFO
        attributes = {key: freeze(value) for key, value in event_dict.items() if key not in _NOT_ATTRIBUTES}
        _add_exception(error, event_dict, attributes)
        body = freeze(event_dict.get("event", ""))
        if isinstance(logger, logging.Logger):
            if will_pass(logger, level):
                HANDOVER.give(Handed(logger.name, level, body, attributes))
            return
        now_ns = time_ns()
        RUNTIME.put_log(
            LogRecord(
                scope=_scope_of(logger, event_dict),
                time_ns=now_ns,
                observed_ns=now_ns,
                severity_number=severity_of(level),
                severity_text=safe_text(level_name).upper(),
                body=body,
                attributes=attributes,
                ids=ids,
            )
        )


def _show(ids: Ids, event_dict: MutableMapping[str, Any]) -> None:
    """The IDs on the line as people see it; what the caller bound by that name stays."""
    if ids.trace_id:
        event_dict.setdefault("trace_id", f"{ids.trace_id:032x}")
        event_dict.setdefault("span_id", f"{ids.span_id:016x}")
    if ids.correlation_id is not None:
        event_dict.setdefault("correlation_id", ids.correlation_id)


def _exception_of(event_dict: MutableMapping[str, Any]) -> BaseException | None:
    """The exception of `exc_info=`, which may be one, a tuple of three, or true for the current one."""
    given = event_dict.get("exc_info")
    if not given:
        return None
    if isinstance(given, BaseException):
        return given
    if isinstance(given, tuple):
        return given[1] if len(given) == 3 and isinstance(given[1], BaseException) else None
    return sys.exc_info()[1]


def _add_exception(
    error: BaseException | None, event_dict: MutableMapping[str, Any], attributes: dict[str, Frozen]
) -> None:
    if error is not None:
        attributes.update(exception_attributes(error))
        return
    rendered = event_dict.get("exception")
    if isinstance(rendered, str):
        attributes.update(_from_stack_trace(rendered))
    elif rendered is not None:
        attributes["exception"] = freeze(rendered)


def _from_stack_trace(rendered: str) -> dict[str, Frozen]:
    """Type and message of an exception that a processor before us has rendered: they are on its last line."""
    last = rendered.rstrip().rpartition("\n")[2]
    kind, _, text = last.partition(": ")
    described: dict[str, Frozen] = {fields.EXCEPTION_STACKTRACE: freeze(rendered)}
    if kind.replace(".", "").replace("_", "").isalnum():
        described[fields.EXCEPTION_TYPE] = kind
        described[fields.EXCEPTION_MESSAGE] = text
    return described


def _scope_of(logger: object, event_dict: MutableMapping[str, Any]) -> Scope:
    name = event_dict.get("logger") or getattr(logger, "name", None)
    return Scope(name) if isinstance(name, str) and name else DEFAULT_SCOPE
