"""What services dropped before it reached the collector, as their own clew says in its health records.

Their shape is in docs/reference/exporting.md: totals since a process began, so that the newest one of each counts.
"""

from collections import Counter
from typing import Final

from clew_collector.model import LogRecord
from clew_collector.query import LogQuery
from clew_collector.stores.base import Store

PERIOD_NS: Final = 24 * 3_600 * 1_000_000_000
"""How far back records are looked for. A process that dropped something before and nothing since is not shown."""

KEPT_NS: Final = 5 * 1_000_000_000
"""How old an answer may be."""

_MAX_RECORDS: Final = 1_000
_SCOPE: Final = "clew.health"
_BODY: Final = "clew has dropped"
_PREFIX: Final = "clew.dropped."
_WARN: Final = 13


class ServiceDrops:
    """`dropped_by_services`, at most once in some seconds: scripts poll this page, and a day is much to search."""

    def __init__(self) -> None:
        self._found: dict[str, dict[str, int]] = {}
        self._asked_ns: int | None = None

    def recent(self, store: Store, *, now_ns: int) -> dict[str, dict[str, int]]:
        """What was found within the last `KEPT_NS`, or now."""
        if self._asked_ns is None or not 0 <= now_ns - self._asked_ns < KEPT_NS:
            # Before the answer is there: who asks meanwhile gets the last one instead of asking as well.
            self._asked_ns = now_ns
            self._found = dropped_by_services(store, now_ns=now_ns)
        return self._found


def dropped_by_services(store: Store, *, now_ns: int) -> dict[str, dict[str, int]]:
    """Records by service and by what was dropped why (`spans.queue_full`), over all of a service's instances."""
    query = LogQuery(text=_BODY, min_severity=_WARN, from_ns=now_ns - PERIOD_NS, limit=_MAX_RECORDS)
    newest: dict[tuple[str, str], LogRecord] = {}
    for log in store.search_logs(query).items:
        if log.scope == _SCOPE:
            newest.setdefault((log.service, str(log.resource.get("service.instance.id"))), log)
    dropped: dict[str, Counter[str]] = {}
    for (service, _instance), log in newest.items():
        dropped.setdefault(service, Counter()).update(_totals(log))
    return {service: dict(sorted(totals.items())) for service, totals in sorted(dropped.items()) if totals}


def _totals(log: LogRecord) -> dict[str, int]:
    return {
        name.removeprefix(_PREFIX): number
        for name, number in log.attributes.items()
        if name.startswith(_PREFIX) and type(number) is int and number > 0
    }
