"""The collector watched by clew: its own log lines, and where spans of its pages (`followed_pages`) go.

They go to its own OTLP address, which the supervisor hands over in the environment. What keeps it from talking to
itself without end: taking records in makes neither a span nor a line, the exporter's own lines are never exported, and
a line that is logged over and over, whatever the reason, is sent once in a while.
"""

import atexit
import os
from collections.abc import Callable
from functools import partial
from time import monotonic, time_ns
from typing import Any, Final, Literal

from clew.configuration import configure_as_parent
from clew.context import NO_IDS
from clew.exporting.exporter import Exporter
from clew.logs.record import LogRecord
from clew.resource import describe_process
from clew.runtime import RUNTIME
from clew.settings import Settings, read_settings
from clew.spans import Scope
from clew.version import VERSION

ENDPOINT_VARIABLE: Final = "CLEW_OWN_ENDPOINT"
"""Base address of the collector's own OTLP over HTTP. Without it nothing is sent."""

KEY_VARIABLE: Final = "CLEW_OWN_KEY"
"""An ingest key, if one is needed there."""

LINES_SERVICE: Final = "clew-collector"
PAGES_SERVICE: Final = "clew-dashboard"

REPEAT_AFTER_S: Final = 600.0
"""How long a line that was sent keeps those that say the same from being sent."""

_MAX_KNOWN_LINES: Final = 500
_BATCH_DELAY_S: Final = 2.0
_END_TIMEOUT_S: Final = 0.3
"""Both processes end at about the same time: what is left then has nowhere to go."""

_INFO: Final = 9


def observe_itself(process: Literal["intake", "store"]) -> None:
    """Send this process's own lines (warnings and worse of libraries, all of ours) from now on, if the supervisor
    says where to. Call it once, after logging is set up."""
    if not is_observed():
        return
    # Not by the environment's CLEW_* and OTEL_* variables: those are for services that are started beside it.
    configure_as_parent(_settings(PAGES_SERVICE, process, export_logs=False, export_traces=process == "store"))
    lines = _settings(LINES_SERVICE, process, export_traces=False)
    exporter = Exporter(lines, partial(describe_process, lines))
    exporter.begin()
    atexit.register(exporter.finish, timeout_s=_END_TIMEOUT_S)
    RUNTIME.put_log = Sparing(exporter.put_log)
    RUNTIME.put_log(_started())


def is_observed() -> bool:
    """Whether the supervisor has said where to send to."""
    return bool(os.environ.get(ENDPOINT_VARIABLE))


class Sparing:
    """Passes log records on, but of those that say the same only one in `REPEAT_AFTER_S`.

    The next one that is passed on says in `clew.repeated` how many were not. May be called by many threads.
    """

    def __init__(self, put: Callable[[LogRecord], None], *, clock_s: Callable[[], float] = monotonic) -> None:
        self._put = put
        self._clock_s = clock_s
        self._known: dict[tuple[object, ...], tuple[float, int]] = {}

    def __call__(self, line: LogRecord) -> None:
        """Pass a line on, or count it."""
        now_s, said = self._clock_s(), _what_it_says(line)
        passed_at_s, left_out = self._known.get(said, (None, 0))
        if passed_at_s is not None and now_s - passed_at_s < REPEAT_AFTER_S:
            self._known[said] = passed_at_s, left_out + 1
            return
        if len(self._known) >= _MAX_KNOWN_LINES:
            self._known.clear()
        self._known[said] = now_s, 0
        if left_out:
            line.attributes["clew.repeated"] = left_out
        self._put(line)


def _what_it_says(line: LogRecord) -> tuple[object, ...]:
    """The statement that logged it, or for structlog its text: what varies there is in fields."""
    place = line.attributes.get("code.file.path"), line.attributes.get("code.line.number")
    return (line.scope.name, str(line.body)) if None in place else place


def _started() -> LogRecord:
    """For the store alone: whoever starts clew sees that it has started."""
    now_ns = time_ns()
    return LogRecord(Scope(__name__, VERSION), now_ns, now_ns, _INFO, "INFO", "started", {}, NO_IDS)


def _settings(service: str, process: str, **settings: Any) -> Settings:
    key = os.environ.get(KEY_VARIABLE)
    own = {
        "service": service,
        "version": VERSION,
        "resource": {"clew.process": process},
        "endpoint": os.environ[ENDPOINT_VARIABLE],
        "headers": {"Authorization": f"Bearer {key}"} if key else {},
        "batch_delay_s": _BATCH_DELAY_S,
        "log_format": "none",
        "instrumentations": ("none",),
        "propagate_to_threads": False,
    }
    return read_settings({**own, **settings}, {})
