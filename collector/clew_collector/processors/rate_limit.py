"""At most so many records a second of each service."""

from collections import OrderedDict
from typing import Final, Literal

import duckdb
from pydantic import BaseModel, ConfigDict, Field

from clew_collector.model import Signal
from clew_collector.processors.literals import Glob, literal, matches_glob

_MAX_WINDOWS: Final = 100_000
"""Counts kept, oldest forgotten first: 100 services for nearly three hours at the default window."""

_Window = tuple[Signal, str, int]


class RateLimitConfig(BaseModel):
    """`type: rate_limit` under `processors` in clew.yaml.

    Of each `service` (a glob) and signal at most `records_per_s` pass. It is counted in windows of `window_s` seconds
    of the records' own time: a burst within a window may pass, and a spool that had to wait is emptied at full speed
    without a loss.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
    type: Literal["rate_limit"]
    records_per_s: float = Field(gt=0, le=1e9)
    window_s: int = Field(default=10, ge=1, le=3600)
    service: Glob = "*"
    name: str = Field(default="", max_length=100)


class RateLimit:
    """Remembers how much of each service has passed. Each batch is decided by one query that counts.

    Only batches that were kept count (`Limited.settle`): one that is tried again is decided anew. For one thread.
    """

    def __init__(self, config: RateLimitConfig) -> None:
        self._config = config
        self._passed: OrderedDict[_Window, int] = OrderedDict()

    def for_batch(self, connection: duckdb.DuckDBPyConnection, signal: Signal, select: str) -> "Limited":
        """What passes of the batch that the connection knows as `batch`."""
        most = max(1, int(self._config.records_per_s * self._config.window_s))
        window = _window(signal, self._config.window_s)
        counts = connection.execute(
            f"SELECT service, {window}, count(*) FROM ({select}) WHERE {self._is_meant()} GROUP BY ALL"
        ).fetchall()
        budgets: dict[tuple[str, int], int] = {}
        passing: dict[_Window, int] = {}
        for service, number, records in counts:
            left = most - self._passed.get((signal, service, number), 0)
            passing[signal, service, number] = min(left, records)
            if records > left:
                budgets[service, number] = left
        return Limited(self, window, budgets, passing)

    @property
    def name(self) -> str:
        """See `Processor.name`."""
        return self._config.name or self._config.type

    @property
    def reason(self) -> str:
        """See `Processor.reason`."""
        return f"over {self._config.records_per_s:g} records a second"

    def add(self, passing: dict[_Window, int]) -> None:
        """Count what has passed."""
        for window, records in passing.items():
            self._passed[window] = self._passed.get(window, 0) + records
        while len(self._passed) > _MAX_WINDOWS:
            self._passed.popitem(last=False)

    def _is_meant(self) -> str:
        return "true" if self._config.service == "*" else matches_glob("service", self._config.service)


class Limited:
    """A rate limit's decision about one batch."""

    def __init__(
        self, limit: RateLimit, window: str, budgets: dict[tuple[str, int], int], passing: dict[_Window, int]
    ) -> None:
        self._limit = limit
        self._window = window
        self._budgets = budgets
        self._passing = passing

    @property
    def name(self) -> str:
        """See `Processor.name`."""
        return self._limit.name

    @property
    def reason(self) -> str:
        """See `Processor.reason`."""
        return self._limit.reason

    def apply(self, signal: Signal, select: str) -> str:
        """See `Processor.apply`; without windows that are full, nothing changes and nothing is paid."""
        return (
            f"SELECT * EXCLUDE (budget, place) FROM ({self._ranked(select)}) WHERE {_FITS}" if self._budgets else select
        )

    def dropped(self, signal: Signal, select: str) -> str | None:
        """See `Processor.dropped`."""
        if not self._budgets:
            return None
        return f"SELECT service, count(*) AS records FROM ({self._ranked(select)}) WHERE NOT {_FITS} GROUP BY 1"

    def settle(self) -> None:
        """Count the batch: it has been kept."""
        self._limit.add(self._passing)

    def _ranked(self, select: str) -> str:
        full = ", ".join(f"({literal(service)}, {number}, {left})" for (service, number), left in self._budgets.items())
        return f"""SELECT sent.*, spent.budget, row_number() OVER (PARTITION BY spent.service, spent.number) AS place
            FROM ({select}) AS sent LEFT JOIN (VALUES {full}) AS spent(service, number, budget)
            ON sent.service = spent.service AND {self._window} = spent.number"""


_FITS: Final = "(budget IS NULL OR place <= budget)"


def _window(signal: Signal, window_s: int) -> str:
    time = "time_ns" if signal == "logs" else "start_ns"
    return f"({time} // {window_s * 1_000_000_000})"
