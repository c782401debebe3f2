"""The bridge from loguru: every line gets the IDs in its `extra`, and a copy goes to the collector.

It wraps `Logger._log`, the one place that all of loguru's methods lead to, and adds the last patcher there: it sees a
line as the service's own patchers have left it, once, however many sinks there are. A sink of ours would be gone after
`logger.remove()`. Without any sink, lines of the settings' level and above are exported still.
"""

import functools
import sys
from collections.abc import Callable
from typing import Any, Final

from loguru import logger
from loguru._logger import Logger

from clew.failures import exception_attributes
from clew.freezing import Frozen, freeze, safe_text
from clew.logs.output import OUTPUT
from clew.logs.passing import PASSING, PassingLine
from clew.logs.record import LogRecord
from clew.logs.severity import severity_of
from clew.logs.stdlib_bridge import SeenExtra
from clew.logs.taken_over import ID_NAMES, ids_for, request_baggage, show_always
from clew.runtime import RUNTIME
from clew.spans import Scope

DEFAULT_SINK: Final = 0
"""The ID of the sink that loguru begins with."""


def install() -> None:
    """Wrap loguru's logger, and put a sink in the place of its first one if that is asked for. Twice is as once."""
    if not hasattr(Logger._log, "__wrapped__"):
        Logger._log = _wrapped(Logger._log)  # type: ignore[method-assign]
    _set_sink(wanted=RUNTIME.enabled and RUNTIME.settings.root_handler)


def _wrapped(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def log(self: Any, level: Any, from_decorator: bool, options: Any, *message: Any) -> None:
        exception, depth, *how, patchers, extra = options
        # One more: this function stands between loguru and its caller.
        options = (exception, depth + 1, *how, [*patchers, _observe] if RUNTIME.enabled else patchers, extra)
        has_sinks = self._core.handlers or not RUNTIME.enabled
        outer = PASSING.line
        try:
            original(self if has_sinks else _Sinkless(self), level, from_decorator, options, *message)
        finally:
            PASSING.line = outer

    return log


class _Sinkless:
    """A logger without sinks, as if it had one that does nothing: loguru makes no record for none at all."""

    def __init__(self, logger: Any) -> None:
        self._core = _SinklessCore(logger._core)


class _SinklessCore:
    def __init__(self, core: Any) -> None:
        self._core = core
        self.handlers = {DEFAULT_SINK: self}
        self.min_level = RUNTIME.settings.log_level

    def __getattr__(self, name: str) -> Any:
        return getattr(self._core, name)

    def emit(self, *_line: object) -> None:
        """What a sink does."""


def _observe(values: dict[str, Any]) -> None:
    """The last patcher of every line."""
    try:
        outer = PASSING.line
        level, text = values["level"].no, values["message"]
        record = _describe(values)
        extra = values["extra"] = SeenExtra(values["extra"])
        show_always(record.ids, request_baggage(), extra)
        if outer is None or not outer.is_same(values, level, text):
            PASSING.line = PassingLine(values, level, text, record)
            RUNTIME.put_log(record)
    except Exception:  # noqa: BLE001  (the line must come out)
        return


def _describe(values: dict[str, Any]) -> LogRecord:
    error = values["exception"].value if values["exception"] else None
    attributes: dict[str, Frozen] = {
        safe_text(key): freeze(value) for key, value in values["extra"].items() if key not in ID_NAMES
    }
    for key, value in request_baggage().items():
        attributes.setdefault(key, value)
    if error is not None:
        attributes.update(exception_attributes(error))
    attributes["code.file.path"] = values["file"].path
    attributes["code.line.number"] = values["line"]
    attributes["code.function.name"] = values["function"]
    time_ns = int(values["time"].timestamp() * 1e6) * 1_000
    return LogRecord(
        scope=Scope(values["name"] or "loguru"),
        time_ns=time_ns,
        observed_ns=time_ns,
        severity_number=severity_of(values["level"].no),
        severity_text=values["level"].name,
        body=freeze(values["message"]),
        attributes=attributes,
        ids=ids_for(error),
    )


class ClewSink:
    """Writes loguru's lines to stderr in the format of structlog's."""

    name = "<clew>"

    def write(self, message: Any) -> None:
        """Write a line, unless another library has written it already."""
        values = message.record
        passing = PASSING.line
        if passing is None or not passing.is_same(values, values["level"].no, values["message"]):
            OUTPUT.write(_describe(values))
        elif not passing.is_written:
            passing.is_written = True
            OUTPUT.write(passing.record)


def _set_sink(*, wanted: bool) -> None:
    """Have a sink of ours in the place of loguru's first one, or that one again; what the service added stays."""
    core = logger._core  # type: ignore[attr-defined]
    present = core.handlers.get(DEFAULT_SINK)
    name = getattr(present, "_name", "")
    if wanted and name in ("<stderr>", ClewSink.name):
        level = RUNTIME.settings.log_level
        _replace_first(core, level=level, sink=ClewSink(), format=_no_text, backtrace=False, diagnose=False)
    elif not wanted and name == ClewSink.name:
        _replace_first(core, sink=sys.stderr)


def _replace_first(core: Any, **how: Any) -> None:
    logger.remove(DEFAULT_SINK)
    added = logger.add(**how)
    # By its old ID: services begin with `logger.remove(0)`, which fails for an ID that is not there.
    with core.lock:
        handlers = core.handlers.copy()
        core.handlers = {DEFAULT_SINK: handlers.pop(added), **handlers}


def _no_text(_record: Any) -> str:
    return ""
