"""The health record: a log record that tells the collector what this process has dropped.

A collector that shows a gap should be able to say why.
"""

from collections.abc import Mapping
from time import monotonic, time_ns
from typing import Final

from clew.context import NO_IDS
from clew.exporting.counters import Counters
from clew.freezing import Frozen
from clew.logs.record import LogRecord
from clew.spans import Scope
from clew.version import VERSION

SCOPE: Final = Scope("clew.health", VERSION)
EVENT_NAME: Final = "clew.dropped"
EVERY_S: Final = 10.0
_WARN: Final = 13


class HealthReport:
    """Makes a record when something was dropped since the last one."""

    def __init__(self) -> None:
        self._reported: dict[str, Frozen] = {}
        self._next_at_s = 0.0

    def due(self, counters: Mapping[str, Counters], *, is_final: bool) -> LogRecord | None:
        """A record of the totals; None if they have not changed, or the last one was just sent."""
        if monotonic() < self._next_at_s and not is_final:
            return None
        totals = totals_of(counters)
        if totals == self._reported:
            return None
        self._reported = totals
        self._next_at_s = monotonic() + EVERY_S
        return _record(totals, counters)


def totals_of(counters: Mapping[str, Counters]) -> dict[str, Frozen]:
    """`clew.dropped.<spans or logs>.<reason>`: records since the process began."""
    return {
        f"clew.dropped.{name}.{reason}": records
        for name, counts in counters.items()
        for reason, records in sorted(counts.dropped.items())
    }


def _record(totals: dict[str, Frozen], counters: Mapping[str, Counters]) -> LogRecord:
    now_ns = time_ns()
    dropped = " and ".join([f"{sum(counts.dropped.values())} {name}" for name, counts in counters.items()])
    return LogRecord(
        scope=SCOPE,
        time_ns=now_ns,
        observed_ns=now_ns,
        severity_number=_WARN,
        severity_text="WARN",
        body=f"clew has dropped {dropped} since this process began",
        attributes={"event.name": EVENT_NAME, **totals},
        ids=NO_IDS,
    )
