"""Payloads that a store or sink could not take, set aside with the reason until a person looks at them."""

import sqlite3
from typing import Final

from clew_collector.model import Signal, record

MAX_BYTES: Final = 256 << 20

_COLUMNS: Final = "id, signal, received_ns, records, source, reader, reason, length(body)"


@record
class DeadLetter:
    """A payload that was set aside: by which `reader` (the store or a sink) and why. It came through `source`."""

    id: int
    signal: Signal
    received_ns: int
    records: int
    source: str
    reader: str
    reason: str
    size_bytes: int


class DeadLetters:
    """The dead letters in a spool's file, the oldest of which go when they are over `max_bytes`.

    The caller holds the transaction.
    """

    def __init__(self, connection: sqlite3.Connection, *, max_bytes: int = MAX_BYTES) -> None:
        self._connection = connection
        self._max_bytes = max_bytes

    def add(
        self, payload_id: int, *, reader: str, reason: str, body: bytes | None = None, records: int | None = None
    ) -> bool:
        """Copy a payload of the spool here; false if it is here already.

        `body` and `records` are given where only a part of it goes here.
        """
        added = self._connection.execute(
            """INSERT OR IGNORE INTO dead_letters
                   (signal, received_ns, records, source, body, payload_id, reader, reason)
               SELECT signal, received_ns, coalesce(?, records), source, coalesce(?, body), id, ?, ?
               FROM payloads WHERE id = ?""",
            (records, body, reader, reason, payload_id),
        )
        return added.rowcount > 0

    def make_room(self) -> list[DeadLetter]:
        """Drop the oldest that are too many; which ones those were."""
        dropped = []
        letters = self.list()
        size_bytes = sum(letter.size_bytes for letter in letters)
        for letter in letters[:-1]:
            if size_bytes <= self._max_bytes:
                break
            self.delete(letter.id)
            size_bytes -= letter.size_bytes
            dropped.append(letter)
        return dropped

    def list(self) -> list[DeadLetter]:
        """All there are, the oldest first."""
        rows = self._connection.execute(f"SELECT {_COLUMNS} FROM dead_letters ORDER BY id").fetchall()
        return [DeadLetter(*row) for row in rows]

    def body(self, id: int) -> bytes | None:
        """The payload of one, as it came; `None` if there is none of this number."""
        row = self._connection.execute("SELECT body FROM dead_letters WHERE id = ?", (id,)).fetchone()
        return None if row is None else bytes(row[0])

    def replay(self, id: int) -> bool:
        """Put one back into the queue, for the reader that set it aside; false if there is none."""
        moved = self._connection.execute(
            """INSERT INTO payloads (signal, received_ns, records, body, source, reader)
               SELECT signal, received_ns, records, body, source, reader FROM dead_letters WHERE id = ?""",
            (id,),
        )
        return moved.rowcount > 0 and self.delete(id)

    def delete(self, id: int) -> bool:
        """Forget one for good; false if there is none."""
        return self._connection.execute("DELETE FROM dead_letters WHERE id = ?", (id,)).rowcount > 0
