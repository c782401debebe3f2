"""The spool: an SQLite file in WAL mode with `synchronous=FULL`.

A payload is on disk when `append` returns. One process appends, another takes and deletes; each makes its own `Spool`
on the same file. Payloads are kept as they came, before any redaction, so the file is readable by its owner only and
a payload is deleted once every reader (a store or a sink, each with its own cursor) has applied it.
"""

import secrets
import shutil
import sqlite3
import string
import time
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from clew_collector.errors import SpoolFull, StoreUnavailable
from clew_collector.model import SIGNALS, Signal, record
from clew_collector.payload import Payload
from clew_collector.spool.counters import ADD_GIVEN_COUNTS, Counters, Series
from clew_collector.spool.dead_letters import DeadLetter, DeadLetters
from clew_collector.spool.replays import SOURCE as REPLAY
from clew_collector.spool.replays import Replays
from clew_collector.spool.schema import open_spool

DIGEST_MEMORY_S: Final = 900
"""How long a body is remembered, so that a sender's retry is stored once. Senders give up after minutes."""

STORE: Final = "store"
"""The reader that is always there: the embedded store."""

# Freeing the pages of 240 bodies of 200 KB at once holds the lock for 50 ms and more, while senders wait for an answer.
_DELETED_AT_ONCE: Final = 16
_LET_IN_S: Final = 0.001

NO_COUNTS: Mapping[Series, int] = {}
EVERYTHING: Mapping[str, Iterable[Signal]] = {}


@record
class Spooled:
    """A payload that waits in the spool under its number; `is_replayed` if its records were stored before."""

    id: int
    body: bytes
    records: int
    received_ns: int
    is_replayed: bool = False


@record
class Depth:
    """What waits in the spool; `oldest_ns` is when the oldest payload came, `None` if nothing waits."""

    payloads: int
    bytes: int
    oldest_ns: int | None


class Spool:
    """The queue in the file at `path`; made if missing, mode 0600.

    For one thread at a time. `max_bytes` bounds what waits: over it `append` raises `SpoolFull`. `reserve_bytes` of
    the disk are left for the stores: what waits here could not be stored on a disk that is full. Raises
    `ConfigError` if the file cannot be used; a full one can.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_bytes: int = 2 << 30,
        reserve_bytes: int = 0,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.path = path
        self.max_bytes = max_bytes
        self.reserve_bytes = reserve_bytes
        self._clock_ns = clock_ns
        self._connection = open_spool(path)
        self._page_bytes = self._value("PRAGMA page_size")
        self._counters = Counters(self._connection)
        self._dead_letters = DeadLetters(self._connection)
        self._replays = Replays(self._connection)

    def append(
        self, payloads: Sequence[Payload], *, sources: Sequence[str] = (), counts: Mapping[Series, int] = NO_COUNTS
    ) -> list[bool]:
        """Put payloads on disk in one transaction, with their checkpoints and `counts`; blocks for a disk sync.

        `sources` names the receiver of each payload. Answers for each whether it was new; one whose digest is
        remembered is left out. All of them are kept or none: raises `SpoolFull` over `max_bytes`, `StoreUnavailable`
        when the disk will not have them, or is full down to the reserve.
        """
        if payloads:
            self._check_room(sum(len(payload.body) for payload in payloads))
        named = list(zip(payloads, sources or [""] * len(payloads), strict=True))
        tally = Tally(counts)
        now_ns = self._clock_ns()
        with self._transaction():
            new = [self._insert(payload, source, now_ns) for payload, source in named]
            for (payload, source), is_new in zip(named, new, strict=True):
                tally.update(_series(payload, source, outcome="accepted" if is_new else "duplicate"))
            self._counters.add(tally)
            self._forget_digests(now_ns)
        return new

    def append_replayed(self, payload: Payload, *, reader: str) -> None:
        """Put a payload of records that were stored before on disk for one reader, with its checkpoints.

        It is neither counted as accepted nor compared with what came before. Raises as `append`.
        """
        self._check_room(len(payload.body))
        with self._transaction():
            self._keep_checkpoints(payload.checkpoints)
            self._replays.add(payload, reader=reader, received_ns=self._clock_ns())

    def replayed_bytes(self, reader: str) -> int:
        """How much of what `append_replayed` was given waits for a reader."""
        return self._replays.waiting_bytes(reader)

    def oldest_live(self, reader: str, signal: Signal) -> tuple[int, int] | None:
        """Number and time of receipt of the oldest payload that waits for a reader as it did for all others."""
        return self._replays.oldest_live(reader, signal)

    def checkpoints(self, prefix: str) -> dict[str, str]:
        """What receivers have read so far, of all keys with a prefix."""
        rows = self._connection.execute("SELECT key, value FROM checkpoints").fetchall()
        return {key: value for key, value in rows if key.startswith(prefix)}

    def register(self, readers: Iterable[str], *, only: Mapping[str, Iterable[Signal]] = EVERYTHING) -> None:
        """Say who reads from now on: a new reader begins at the oldest payload, one that is left out is forgotten.

        `only` names the signals of those that do not take all of them.
        """
        wanted = {(reader, signal) for reader in readers for signal in only.get(reader, SIGNALS)}
        with self._transaction():
            known = set(self._connection.execute("SELECT reader, signal FROM cursors").fetchall())
            self._connection.executemany(
                "INSERT INTO cursors (reader, signal, last_id) VALUES (?, ?, -1)", sorted(wanted - known)
            )
            self._connection.executemany("DELETE FROM cursors WHERE reader = ? AND signal = ?", sorted(known - wanted))
        for signal in SIGNALS:
            self._delete_applied(signal)

    def keep_checkpoints(self, checkpoints: Mapping[str, str]) -> None:
        """Put checkpoints on disk by themselves; blocks for a disk sync for each. An empty one is forgotten."""
        for key, value in checkpoints.items():
            self._alone(*_checkpoint(key, value))

    def origin(self) -> str:
        """A random name of this file, of 8 letters and digits: with a payload's number it names that for good."""
        with self._transaction():
            self._connection.execute(
                "INSERT OR IGNORE INTO checkpoints (key, value) VALUES ('origin', ?)", (_random_name(),)
            )
            row = self._connection.execute("SELECT value FROM checkpoints WHERE key = 'origin'").fetchone()
        return str(row[0])

    def readers(self) -> list[str]:
        """Those that are registered, in the order of their names."""
        rows = self._connection.execute("SELECT DISTINCT reader FROM cursors ORDER BY reader").fetchall()
        return [row[0] for row in rows]

    def cursor(self, reader: str, signal: Signal) -> int:
        """Number of the newest payload that a reader has applied; -1 at first."""
        row = self._connection.execute(
            "SELECT last_id FROM cursors WHERE reader = ? AND signal = ?", (reader, signal)
        ).fetchone()
        return -1 if row is None else int(row[0])

    def take(
        self, signal: Signal, *, after_id: int, max_records: int, max_bytes: int, reader: str = STORE
    ) -> list[Spooled]:
        """The oldest payloads for a reader beyond `after_id`, at least one if there is one, up to the two bounds.

        Either all of them are replayed or none is.
        """
        taken: list[Spooled] = []
        records = size = 0
        cursor = self._connection.execute(
            """SELECT id, body, records, received_ns, source = ? AND reader IS NOT NULL FROM payloads
               WHERE signal = ? AND id > ? AND (reader IS NULL OR reader = ?) ORDER BY id""",
            (REPLAY, signal, after_id, reader),
        )
        for row in cursor:
            spooled = Spooled(*row)
            records += spooled.records
            size += len(spooled.body)
            is_full = records > max_records or size > max_bytes
            if taken and (is_full or spooled.is_replayed != taken[0].is_replayed):
                break
            taken.append(spooled)
        cursor.close()
        return taken

    def advance(
        self, signal: Signal, last_id: int, *, reader: str = STORE, counts: Mapping[Series, int] = NO_COUNTS
    ) -> None:
        """Note that a reader has applied all up to this number, and forget what every reader has. Safe to repeat.

        It is noted in one transaction, which blocks for a disk sync; forgotten a few payloads at a time, so that who
        appends meanwhile does not wait. What a crash or a full disk leaves is forgotten the next time.
        """
        self.note_advance(signal, last_id, reader=reader, counts=counts)
        self.forget(signal, reader=reader)

    def note_advance(
        self, signal: Signal, last_id: int, *, reader: str = STORE, counts: Mapping[Series, int] = NO_COUNTS
    ) -> None:
        """The first half of `advance`."""
        self._alone("INSERT INTO advances VALUES (?, ?, ?, ?)", reader, signal, last_id, self._counters.as_json(counts))

    def forget(self, signal: Signal, *, reader: str = STORE) -> None:
        """The second half of `advance`, for what a reader and all others have applied by now."""
        with suppress(StoreUnavailable):  # it is noted, and counted: to do that again would be wrong
            self._delete("reader = ? AND signal = ? AND id <= ?", reader, signal, self.cursor(reader, signal))
            self._delete_applied(signal)

    def set_aside(
        self,
        signal: Signal,
        spooled: Spooled,
        reason: str,
        *,
        reader: str = STORE,
        body: bytes | None = None,
        records: int | None = None,
    ) -> None:
        """Copy a payload that a reader cannot take to the dead letters, with the reason, and count it as dropped.

        With `body` and `records`, only the part of it that they hold: the reader counts that itself, when it advances.
        It leaves the queue when the reader advances beyond it. Safe to repeat.
        """
        with self._transaction():
            added = self._dead_letters.add(spooled.id, reader=reader, reason=reason, body=body, records=records)
            if added and body is None:
                self._counters.add({Series("dropped", signal, "poison payload", reader): spooled.records})
            for letter in self._dead_letters.make_room():
                gone = Series("dropped", letter.signal, "too many dead letters", letter.reader)
                self._counters.add({gone: letter.records})

    def count(self, counts: Mapping[Series, int]) -> None:
        """Add to counters."""
        self._alone(ADD_GIVEN_COUNTS, self._counters.as_json(counts))

    def counters(self) -> dict[Series, int]:
        """All counters since the data directory was made."""
        return self._counters.read()

    def depth(self, *, reader: str | None = None) -> Depth:
        """What waits to be stored, for all readers or for one."""
        if reader is None:
            payloads, oldest_ns = self._connection.execute("SELECT count(*), min(received_ns) FROM payloads").fetchone()
            return Depth(payloads=payloads, bytes=self._used_bytes() if payloads else 0, oldest_ns=oldest_ns)
        payloads, size_bytes, oldest_ns = self._connection.execute(
            """SELECT count(*), coalesce(sum(length(body)), 0), min(received_ns) FROM payloads p
               WHERE (reader IS NULL OR reader = ?1)
                 AND id > coalesce((SELECT last_id FROM cursors c WHERE c.reader = ?1 AND c.signal = p.signal), -1)""",
            (reader,),
        ).fetchone()
        return Depth(payloads=payloads, bytes=size_bytes, oldest_ns=oldest_ns)

    def dead_letters(self) -> list[DeadLetter]:
        """All payloads that were set aside, the oldest first."""
        return self._dead_letters.list()

    def dead_letter_body(self, id: int) -> bytes | None:
        """A payload that was set aside, as it came; `None` if there is none of this number."""
        return self._dead_letters.body(id)

    def replay(self, id: int) -> bool:
        """Put a dead letter back into the queue, for the reader that set it aside; false if there is none."""
        with self._transaction():
            return self._dead_letters.replay(id)

    def delete_dead_letter(self, id: int) -> bool:
        """Forget a dead letter for good; false if there is none."""
        with self._transaction():
            return self._dead_letters.delete(id)

    def expire(self, *, max_age_s: float) -> None:
        """Drop, and count, what has waited for longer; for a bound on how old data may be when it is stored."""
        before_ns = self._clock_ns() - int(max_age_s * 1e9)
        for signal in SIGNALS:
            while self._expire_some(signal, before_ns):
                self._let_others_in()

    def close(self) -> None:
        """Release the file. Safe to call twice."""
        self._connection.close()

    def _check_room(self, size_bytes: int) -> None:
        if self._used_bytes() + size_bytes > self.max_bytes:
            raise SpoolFull(f"{self.path}: {self.max_bytes} bytes wait to be stored; try again later")
        if (free_bytes := shutil.disk_usage(self.path.parent).free) < self.reserve_bytes:
            raise StoreUnavailable(
                f"{self.path}: the disk has {free_bytes} bytes left, and {self.reserve_bytes} are kept for the store"
            )

    def _insert(self, payload: Payload, source: str, now_ns: int) -> bool:
        self._keep_checkpoints(payload.checkpoints)
        remembered = self._connection.execute(
            "INSERT OR IGNORE INTO digests (digest, received_ns) VALUES (?, ?)", (payload.digest, now_ns)
        )
        if remembered.rowcount == 0:
            return False
        if payload.records:
            self._connection.execute(
                "INSERT INTO payloads (signal, received_ns, records, body, source) VALUES (?, ?, ?, ?, ?)",
                (payload.signal, now_ns, payload.records, payload.body, source),
            )
        return True

    def _keep_checkpoints(self, checkpoints: Mapping[str, str]) -> None:
        for key, value in checkpoints.items():
            statement, *values = _checkpoint(key, value)
            self._connection.execute(statement, values)

    def _delete_applied(self, signal: Signal) -> None:
        """Forget what every reader has."""
        row = self._connection.execute("SELECT min(last_id) FROM cursors WHERE signal = ?", (signal,)).fetchone()
        self._delete("signal = ? AND id <= ?", signal, row[0])

    def _delete(self, where: str, *values: object) -> None:
        """Delete payloads a few at a time, so that who appends gets in between.

        Without a disk sync: a deletion that a power cut takes back is done again, as the cursors say.
        """
        if self._connection.execute(f"SELECT 1 FROM payloads WHERE {where} LIMIT 1", values).fetchone() is None:
            return
        some = f"SELECT id FROM payloads WHERE {where} ORDER BY id LIMIT {_DELETED_AT_ONCE}"
        self._connection.execute("PRAGMA synchronous = NORMAL")
        try:
            while self._alone(f"DELETE FROM payloads WHERE id IN ({some})", *values) == _DELETED_AT_ONCE:
                self._let_others_in()
        finally:
            self._connection.execute("PRAGMA synchronous = FULL")

    def _expire_some(self, signal: Signal, before_ns: int) -> bool:
        """Whether there may be more."""
        some = f"SELECT id FROM payloads WHERE signal = ? AND received_ns < ? LIMIT {_DELETED_AT_ONCE}"
        with self._transaction():
            deleted = self._connection.execute(
                f"DELETE FROM payloads WHERE id IN ({some}) RETURNING records", (signal, before_ns)
            ).fetchall()
            if deleted:
                dropped = Series("dropped", signal, "waited too long", "spool")
                self._counters.add({dropped: sum(records for (records,) in deleted)})
        return len(deleted) == _DELETED_AT_ONCE

    def _forget_digests(self, now_ns: int) -> None:
        self._connection.execute("DELETE FROM digests WHERE received_ns < ?", (now_ns - DIGEST_MEMORY_S * 10**9,))

    def _alone(self, statement: str, *values: object) -> int:
        """Run one statement as a transaction, and tell how many rows it has changed.

        The interpreter is not needed between its lock and its commit. Between the statements of a longer transaction
        this thread may have to wait for it, for as long as another one makes a large page, and all who append with it.
        """
        try:
            return self._connection.execute(statement, values).rowcount
        except sqlite3.Error as error:
            raise StoreUnavailable(f"{self.path}: {error}") from error

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

    def _let_others_in(self) -> None:
        time.sleep(_LET_IN_S)

    def _commit(self) -> None:
        self._connection.execute("COMMIT")

    def _used_bytes(self) -> int:
        # Pages in use, not file size: the file keeps its pages when payloads leave it. O(1), unlike a sum.
        return (self._value("PRAGMA page_count") - self._value("PRAGMA freelist_count")) * self._page_bytes

    def _value(self, statement: str) -> int:
        row: tuple[int] = self._connection.execute(statement).fetchone()
        return int(row[0])


def _checkpoint(key: str, value: str) -> tuple[str, ...]:
    """The statement that keeps it, or forgets it if it is empty, and its values."""
    if value:
        return "INSERT OR REPLACE INTO checkpoints (key, value) VALUES (?, ?)", key, value
    return "DELETE FROM checkpoints WHERE key = ?", key


def _random_name() -> str:
    return "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(8))


def _series(payload: Payload, source: str, *, outcome: str) -> dict[Series, int]:
    services = payload.services or {"": payload.records}
    return {Series(outcome, payload.signal, "", source, service): count for service, count in services.items() if count}
