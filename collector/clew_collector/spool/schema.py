"""The spool's file: its tables, and how older ones are brought up to date."""

import os
import sqlite3
from pathlib import Path
from typing import Final

from clew_collector.errors import ConfigError
from clew_collector.spool.counters import ADD_COUNTS

FORMAT_VERSION: Final = 2
"""Raised when older code could not read what newer code writes."""

_BUSY_TIMEOUT_S: Final = 30.0
# Bodies of 200 KB fill long chains of the usual 4 KiB pages, which have to be freed one by one.
_PAGE_BYTES: Final = 32_768
# 8 MB, where SQLite's own is 1,000 pages: the commit that checkpoints syncs them all while somebody waits for it.
_CHECKPOINT_PAGES: Final = 250
# AUTOINCREMENT, not a plain key: a number is never used again, even when the queue has been empty. Stores rely on it.
_DDL: Final = """
CREATE TABLE IF NOT EXISTS payloads (
    id INTEGER PRIMARY KEY AUTOINCREMENT, signal TEXT NOT NULL, received_ns INTEGER NOT NULL,
    records INTEGER NOT NULL, body BLOB NOT NULL, source TEXT NOT NULL DEFAULT '', reader TEXT);
CREATE INDEX IF NOT EXISTS payloads_of_one_reader ON payloads (reader, id) WHERE reader IS NOT NULL;
CREATE TABLE IF NOT EXISTS digests (digest BLOB PRIMARY KEY, received_ns INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS digests_by_age ON digests (received_ns);
CREATE TABLE IF NOT EXISTS cursors (
    reader TEXT NOT NULL, signal TEXT NOT NULL, last_id INTEGER NOT NULL, PRIMARY KEY (reader, signal)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS checkpoints (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dead_letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT, signal TEXT NOT NULL, received_ns INTEGER NOT NULL,
    records INTEGER NOT NULL, reason TEXT NOT NULL, body BLOB NOT NULL, source TEXT NOT NULL DEFAULT '',
    reader TEXT NOT NULL DEFAULT '', payload_id INTEGER);
CREATE UNIQUE INDEX IF NOT EXISTS dead_letters_once ON dead_letters (reader, payload_id);
CREATE TABLE IF NOT EXISTS counters (
    outcome TEXT NOT NULL, signal TEXT NOT NULL, reason TEXT NOT NULL, source TEXT NOT NULL, service TEXT NOT NULL,
    count INTEGER NOT NULL, PRIMARY KEY (outcome, signal, reason, source, service)) WITHOUT ROWID;
"""
# Without it a reader of a signal that rests looks through the backlog of the other, 20 times a second.
_LATER: Final = "CREATE INDEX IF NOT EXISTS payloads_of_one_signal ON payloads (signal, id)"
# Moving a cursor and counting as one statement, which is a transaction by itself (`Spool.advance`).
_ADVANCES: Final = f"""
CREATE TEMP VIEW advances AS SELECT '' AS reader, '' AS signal, 0 AS last_id, '[]' AS counts;
CREATE TEMP TRIGGER advance INSTEAD OF INSERT ON advances BEGIN
    INSERT INTO cursors (reader, signal, last_id) VALUES (NEW.reader, NEW.signal, NEW.last_id)
        ON CONFLICT DO UPDATE SET last_id = max(last_id, excluded.last_id);
    {ADD_COUNTS.format(counts="NEW.counts")};
END;
"""
_FROM_1: Final = f"""
ALTER TABLE payloads ADD COLUMN source TEXT NOT NULL DEFAULT '';
ALTER TABLE payloads ADD COLUMN reader TEXT;
ALTER TABLE dead_letters RENAME TO dead_letters_1;
ALTER TABLE counters RENAME TO counters_1;
{_DDL}
INSERT INTO dead_letters (id, signal, received_ns, records, reason, body, reader)
    SELECT id, signal, received_ns, records, reason, body, 'store' FROM dead_letters_1;
INSERT INTO counters SELECT outcome, signal, reason, '', '', count FROM counters_1;
DROP TABLE dead_letters_1;
DROP TABLE counters_1;
"""


def open_spool(path: Path) -> sqlite3.Connection:
    """A connection to the spool's file, which is made if it is missing, mode 0600. Raises `ConfigError`."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        connection = sqlite3.connect(path, isolation_level=None, timeout=_BUSY_TIMEOUT_S, check_same_thread=False)
        connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA journal_size_limit = 67108864")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        _bring_up_to_date(connection, path)
        connection.execute(_LATER)
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.executescript(_ADVANCES)
    except (OSError, sqlite3.Error) as error:
        raise ConfigError(f"{path}: cannot be used as the spool: {error}") from error
    return connection


def _bring_up_to_date(connection: sqlite3.Connection, path: Path) -> None:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > FORMAT_VERSION:
        raise ConfigError(
            f"{path}: written by a newer clew (format {version}, this one reads {FORMAT_VERSION}); "
            "upgrade clew or choose another data directory"
        )
    if version < FORMAT_VERSION:
        changes = _FROM_1 if version == 1 else _DDL
        connection.executescript(f"BEGIN IMMEDIATE; {changes} PRAGMA user_version = {FORMAT_VERSION}; COMMIT;")
