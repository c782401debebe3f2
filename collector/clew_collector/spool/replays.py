"""Payloads whose records were stored before and are sent once more, to one reader only."""

import sqlite3
from typing import Final

from clew_collector.model import Signal
from clew_collector.payload import Payload

SOURCE: Final = "replay"
"""What their records came through, this time."""


class Replays:
    """The payloads of that kind in a spool's file; the caller holds the transaction.

    They are not counted as accepted: their records were, when they first came.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def add(self, payload: Payload, *, reader: str, received_ns: int) -> None:
        """Put one into the queue."""
        self._connection.execute(
            "INSERT INTO payloads (signal, received_ns, records, body, source, reader) VALUES (?, ?, ?, ?, ?, ?)",
            (payload.signal, received_ns, payload.records, payload.body, SOURCE, reader),
        )

    def waiting_bytes(self, reader: str) -> int:
        """How much of it the reader has still to take."""
        row = self._connection.execute(
            "SELECT coalesce(sum(length(body)), 0) FROM payloads WHERE reader = ? AND source = ?", (reader, SOURCE)
        ).fetchone()
        return int(row[0])

    def oldest_live(self, reader: str, signal: Signal) -> tuple[int, int] | None:
        """Number and time of receipt of the oldest payload that waits for a reader and is not for it alone."""
        row: tuple[int, int] | None = self._connection.execute(
            """SELECT id, received_ns FROM payloads WHERE reader IS NULL AND signal = ?2
               AND id > coalesce((SELECT last_id FROM cursors WHERE reader = ?1 AND signal = ?2), -1)
               ORDER BY id LIMIT 1""",
            (reader, signal),
        ).fetchone()
        return row
