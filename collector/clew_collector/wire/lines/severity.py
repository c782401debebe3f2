"""Levels as OpenTelemetry's severity numbers (logs data model, appendix B)."""

from typing import Final

from clew_collector.model import Value

TRACE, DEBUG, INFO, NOTICE, WARN, ERROR, CRIT, ALERT, FATAL = 1, 5, 9, 10, 13, 17, 18, 19, 21

NUMBERS: Final = {
    **dict.fromkeys(("trace", "trc", "finest", "verbose", "silly"), TRACE),
    **dict.fromkeys(("debug", "dbg", "dbug", "finer", "fine"), DEBUG),
    **dict.fromkeys(("info", "inf", "information", "informational", "config", "log", "http"), INFO),
    **dict.fromkeys(("notice", "success"), NOTICE),
    **dict.fromkeys(("warn", "warning", "wrn"), WARN),
    **dict.fromkeys(("error", "err", "eror", "severe"), ERROR),
    "crit": CRIT,
    "alert": ALERT,
    **dict.fromkeys(("fatal", "ftl", "critical", "emerg", "emergency", "panic", "dpanic"), FATAL),
}
"""By name in lower case. Those of syslog are numbered as by the syslog receiver; Python's CRITICAL is fatal."""

_SYSLOG: Final = (FATAL, ALERT, CRIT, ERROR, WARN, NOTICE, INFO, DEBUG)
# pino's and bunyan's, which are all that write numbers as `level`, and those of Python's logging.
_NODE: Final = ((60, FATAL), (50, ERROR), (40, WARN), (30, INFO), (20, DEBUG), (10, TRACE))
_PYTHON: Final = ((50, FATAL), (40, ERROR), (30, WARN), (20, INFO), (10, DEBUG), (1, TRACE))
_TEXTS: Final = {TRACE: "trace", DEBUG: "debug", INFO: "info", NOTICE: "notice", WARN: "warn", ERROR: "error"} | {
    CRIT: "crit",
    ALERT: "alert",
    FATAL: "fatal",
}
_MAX_NUMBER: Final = 24


def severity_of(level: Value) -> tuple[int, str] | None:
    """Number and text of a level by its name, or by its number: 0 to 7 as syslog has it, from 10 on as pino."""
    if isinstance(level, str):
        number = NUMBERS.get(level) or NUMBERS.get(level.strip().lower())
        if number is not None:
            return number, level.strip()
        return severity_of(int(level)) if level.isdecimal() and len(level) <= 2 else None
    if isinstance(level, bool) or not isinstance(level, int):
        return None
    if 0 <= level < len(_SYSLOG):
        return _named(_SYSLOG[level])
    return _in_steps(level, _NODE)


def severity_of_python(level: Value) -> tuple[int, str] | None:
    """Number and text of a `levelno` of Python's logging."""
    return _in_steps(level, _PYTHON) if isinstance(level, int) and not isinstance(level, bool) else None


def severity_of_number(number: Value) -> tuple[int, str] | None:
    """OpenTelemetry's own number, with the name of its range."""
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= _MAX_NUMBER:
        return None
    return number, ("trace", "debug", "info", "warn", "error", "fatal")[(number - 1) // 4]


def _in_steps(level: int, steps: tuple[tuple[int, int], ...]) -> tuple[int, str] | None:
    return next((_named(number) for least, number in steps if level >= least), None)


def _named(number: int) -> tuple[int, str]:
    return number, _TEXTS[number]
