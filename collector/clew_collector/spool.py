"""The durable queue between receivers and stores: what is in it has been promised to a sender.

An SQLite file in WAL mode with `synchronous=FULL`: a payload is on disk when `append` returns. One process appends,
another takes and deletes; each makes its own `Spool` on the same file. Payloads are kept as they came, before any
redaction, so the file is readable by its owner only and a payload is deleted once every store has applied it.
"""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from clew_collector.errors import ConfigError, SpoolFull, StoreUnavailable
from clew_collector.model import Signal, record
from clew_collector.payload import Payload

FORMAT_VERSION: Final = 1
DIGEST_MEMORY_S: Final = 900
"""How long a body is remembered, so that a sender's retry is stored once. Senders give up after minutes."""

_BUSY_TIMEOUT_S: Final = 30.0
# Bodies of 200 KB fill long chains of the usual 4 KiB pages, which have to be freed one by one.
_PAGE_BYTES: Final = 32_768
# AUTOINCREMENT, not a plain key: a number is never used again, even when the queue has been empty. Stores rely on it.
_DDL: Final = """
CREATE TABLE IF NOT EXISTS payloads (
    id INTEGER PRIMARY KEY AUTOINCREMENT, signal TEXT NOT NULL, received_ns INTEGER NOT NULL,
    records INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS digests (digest BLOB PRIMARY KEY, received_ns INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS digests_by_age ON digests (received_ns);
CREATE TABLE IF NOT EXISTS dead_letters (
    id INTEGER PRIMARY KEY, signal TEXT NOT NULL, received_ns INTEGER NOT NULL, records INTEGER NOT NULL,
    reason TEXT NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS counters (
    outcome TEXT NOT NULL, signal TEXT NOT NULL, reason TEXT NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (outcome, signal, reason)) WITHOUT ROWID;
"""


@record
class Spooled:
    """A payload that waits in the spool under its number."""

    id: int
    body: bytes
    records: int
    received_ns: int


@record
class Depth:
    """What waits in the spool; `oldest_ns` is when the oldest payload came, `None` if nothing waits."""

    payloads: int
    bytes: int
    oldest_ns: int | None


Counter = tuple[str, str, str]
"""Outcome (`accepted`, `duplicate`, `refused`, `dropped`), signal and reason of a count of records or requests."""


class Spool:
    """The queue in the file at `path`; made if missing, mode 0600.

    For one thread at a time. `max_bytes` bounds what waits: over it `append` raises `SpoolFull`. Raises
    `ConfigError` if the file cannot be used.
    """

    def __init__(self, path: Path, *, max_bytes: int = 2 << 30, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self.path = path
        self.max_bytes = max_bytes
        self._clock_ns = clock_ns
        self._connection = _open(path)
        self._page_bytes = int(self._value("PRAGMA page_size"))

    def append(self, payloads: Sequence[Payload], *, counts: Mapping[Counter, int] | None = None) -> list[bool]:
        """Put payloads on disk in one transaction, together with `counts`; blocks for a disk sync.

        Answers for each whether it was new; one whose digest is remembered is left out. All of them are kept or
        none: raises `SpoolFull` over `max_bytes`, `StoreUnavailable` when the disk will not have them.
        """
        if payloads and self._used_bytes() + sum(len(payload.body) for payload in payloads) > self.max_bytes:
            raise SpoolFull(f"{self.path}: {self.max_bytes} bytes wait to be stored; try again later")
        now_ns = self._clock_ns()
        with self._transaction():
            new = [self._insert(payload, now_ns) for payload in payloads]
            self._add(counts or {})
            self._forget_digests(now_ns)
        return new

    def take(self, signal: Signal, *, after_id: int, max_records: int, max_bytes: int) -> list[Spooled]:
        """The oldest payloads of a signal beyond `after_id`, at least one if there is one, up to the two bounds."""
        taken: list[Spooled] = []
        records = size = 0
        cursor = self._connection.execute(
            "SELECT id, body, records, received_ns FROM payloads WHERE signal = ? AND id > ? ORDER BY id",
            (signal, after_id),
        )
        for row in cursor:
            spooled = Spooled(*row)
            records += spooled.records
            size += len(spooled.body)
            if taken and (records > max_records or size > max_bytes):
                break
            taken.append(spooled)
        cursor.close()
        return taken

    def delete_through(self, signal: Signal, last_id: int) -> None:
        """Forget payloads of a signal up to this number; they are in every store. Safe to repeat."""
        with self._transaction():
            self._connection.execute("DELETE FROM payloads WHERE signal = ? AND id <= ?", (signal, last_id))

    def set_aside(self, signal: Signal, spooled: Spooled, reason: str) -> None:
        """Move a payload that no store can take to the dead letters, with the reason, and count it as dropped."""
        row = (signal, spooled.received_ns, spooled.records, reason, spooled.body)
        with self._transaction():
            self._connection.execute(
                "INSERT INTO dead_letters (signal, received_ns, records, reason, body) VALUES (?, ?, ?, ?, ?)",
                row,
            )
            self._connection.execute("DELETE FROM payloads WHERE id = ?", (spooled.id,))
            self._add({("dropped", signal, "poison payload"): spooled.records})

    def counters(self) -> dict[Counter, int]:
        """All counters since the data directory was made."""
        rows = self._connection.execute("SELECT outcome, signal, reason, count FROM counters").fetchall()
        return {(outcome, signal, reason): count for outcome, signal, reason, count in rows}

    def depth(self) -> Depth:
        """What waits to be stored."""
        payloads, oldest_ns = self._connection.execute("SELECT count(*), min(received_ns) FROM payloads").fetchone()
        return Depth(payloads=payloads, bytes=self._used_bytes() if payloads else 0, oldest_ns=oldest_ns)

    def dead_letters(self) -> list[tuple[int, str, int, str]]:
        """Number, signal, records and reason of each payload that was set aside."""
        return self._connection.execute("SELECT id, signal, records, reason FROM dead_letters ORDER BY id").fetchall()

    def close(self) -> None:
        """Release the file. Safe to call twice."""
        self._connection.close()

    def _insert(self, payload: Payload, now_ns: int) -> bool:
        remembered = self._connection.execute(
            "INSERT OR IGNORE INTO digests (digest, received_ns) VALUES (?, ?)", (payload.digest, now_ns)
        )
        if remembered.rowcount == 0:
            self._add({("duplicate", payload.signal, ""): payload.records})
            return False
        self._connection.execute(
            "INSERT INTO payloads (signal, received_ns, records, body) VALUES (?, ?, ?, ?)",
            (payload.signal, now_ns, payload.records, payload.body),
        )
        self._add({("accepted", payload.signal, ""): payload.records})
        return True

    def _add(self, counts: Mapping[Counter, int]) -> None:
        self._connection.executemany(
            """INSERT INTO counters (outcome, signal, reason, count) VALUES (?, ?, ?, ?)
               ON CONFLICT DO UPDATE SET count = count + excluded.count""",
            [(*counter, count) for counter, count in counts.items()],
        )

    def _forget_digests(self, now_ns: int) -> None:
        self._connection.execute("DELETE FROM digests WHERE received_ns < ?", (now_ns - DIGEST_MEMORY_S * 10**9,))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._commit()
        except sqlite3.Error as error:
            raise StoreUnavailable(f"{self.path}: {error}") from error
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def _commit(self) -> None:
        self._connection.execute("COMMIT")

    def _used_bytes(self) -> int:
        # Pages in use, not file size: the file keeps its pages when payloads leave it. O(1), unlike a sum.
        used_pages = int(self._value("PRAGMA page_count")) - int(self._value("PRAGMA freelist_count"))
        return used_pages * self._page_bytes

    def _value(self, statement: str) -> int:
        row: tuple[int] = self._connection.execute(statement).fetchone()
        return row[0]


def _open(path: Path) -> sqlite3.Connection:
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        connection = sqlite3.connect(path, isolation_level=None, timeout=_BUSY_TIMEOUT_S, check_same_thread=False)
        connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA journal_size_limit = 67108864")
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > FORMAT_VERSION:
            raise ConfigError(
                f"{path}: written by a newer clew (format {version}, this one reads {FORMAT_VERSION}); "
                "upgrade clew or choose another data directory"
            )
        if version < FORMAT_VERSION:
            connection.executescript(_DDL)
            connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
    except (OSError, sqlite3.Error) as error:
        raise ConfigError(f"{path}: cannot be used as the spool: {error}") from error
    return connection
