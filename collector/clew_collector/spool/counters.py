"""Durable counters of what became of records and requests, by receiver, service and reason."""

import sqlite3
from collections.abc import Mapping
from typing import Final, NamedTuple

import orjson

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


# `WHERE true` tells SQLite that the ON that follows is not a join's.
ADD_COUNTS: Final = """
    INSERT INTO counters (outcome, signal, reason, source, service, count)
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5
    FROM json_each({counts}) WHERE true
    ON CONFLICT DO UPDATE SET count = count + excluded.count"""
"""Adds to counters what is given as JSON, lists of a series and its count."""
ADD_GIVEN_COUNTS: Final = ADD_COUNTS.format(counts="?")


class Counters:
    """The counters in a spool's file; the caller holds the transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._services = {row[0] for row in connection.execute("SELECT DISTINCT service FROM counters")}

    def add(self, counts: Mapping[Series, int]) -> None:
        """Add to counters, in one statement; a new one begins at 0."""
        self._connection.execute(ADD_GIVEN_COUNTS, (self.as_json(counts),))

    def as_json(self, counts: Mapping[Series, int]) -> str:
        """What `ADD_COUNTS` takes."""
        return orjson.dumps([(*self._bounded(series), count) for series, count in counts.items()]).decode()

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
