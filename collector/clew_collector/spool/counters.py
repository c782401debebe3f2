"""Durable counters of what became of records and requests, by receiver, service and reason."""

import sqlite3
from collections.abc import Mapping
from typing import Final, NamedTuple

Counter = tuple[str, str, str]
"""What a receiver counts: outcome (`refused`, `dropped`), signal and reason."""

MAX_SERVICES: Final = 1_000
"""Names come from senders: beyond so many, all others are counted as one."""
OTHER_SERVICES: Final = "(other)"
_MAX_NAME_LENGTH: Final = 200


class Series(NamedTuple):
    """One counter.

    `outcome` is `accepted`, `duplicate`, `refused`, `dropped` or `stored`. `source` names the receiver, or for what
    happens later the store, sink or processor; `service` is empty where it is not known.
    """

    outcome: str
    signal: str
    reason: str = ""
    source: str = ""
    service: str = ""


class Counters:
    """The counters in a spool's file; the caller holds the transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._services = {row[0] for row in connection.execute("SELECT DISTINCT service FROM counters")}

    def add(self, counts: Mapping[Series, int]) -> None:
        """Add to counters; a new one begins at 0."""
        self._connection.executemany(
            """INSERT INTO counters (outcome, signal, reason, source, service, count) VALUES (?, ?, ?, ?, ?, ?)
               ON CONFLICT DO UPDATE SET count = count + excluded.count""",
            [(*self._bounded(series), count) for series, count in counts.items()],
        )

    def read(self) -> dict[Series, int]:
        """All counters since the data directory was made."""
        rows = self._connection.execute("SELECT outcome, signal, reason, source, service, count FROM counters")
        return {Series(*series): count for *series, count in rows.fetchall()}

    def _bounded(self, series: Series) -> Series:
        service = series.service[:_MAX_NAME_LENGTH]
        if service not in self._services:
            if len(self._services) >= MAX_SERVICES:
                service = OTHER_SERVICES
            self._services.add(service)
        return series if service == series.service else series._replace(service=service)
