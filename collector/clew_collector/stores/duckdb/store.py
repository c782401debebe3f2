"""The embedded store: DuckDB files in a directory, written by one process and asked by its threads."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

import duckdb
import pyarrow as pa

from clew_collector.batch import Batch
from clew_collector.errors import BadPayload, ConfigError, StoreUnavailable
from clew_collector.model import Counts, LogRecord, Page, Request, RequestSummary, Signal
from clew_collector.query import LogQuery, RequestQuery
from clew_collector.stores.duckdb.files import Files
from clew_collector.stores.duckdb.lookup import find_request
from clew_collector.stores.duckdb.ranges import StoredBatch, batches_between, rows_between
from clew_collector.stores.duckdb.schema import PARTS, TABLES, bring_up_to_date, create_tables
from clew_collector.stores.duckdb.search import search_logs, search_requests
from clew_collector.stores.duckdb.thin import Mark, Thinned, thin
from clew_collector.stores.duckdb.write import last_applied, write_batch
from clew_collector.wire.otlp.select import MACROS

T = TypeVar("T")

# What a payload cannot cause: no space, no memory, a file taken away. Everything else is the batch's own fault.
# A commit that finds the disk full is a TransactionException, which is an OperationalError, as IOException is.
_NOT_THE_BATCH = (duckdb.OperationalError, duckdb.FatalException, duckdb.InternalException)


class DuckDBStore:
    """Logs and spans in DuckDB files under `directory`, which only one process can hold at a time.

    `threads` and `memory_limit_bytes` bound what DuckDB takes. Raises `ConfigError` if the directory cannot be used:
    not writable, held by another process, or written by a newer clew.
    """

    def __init__(self, directory: Path, *, threads: int = 2, memory_limit_bytes: int = 1 << 30) -> None:
        self.directory = directory
        self._cursors = threading.local()
        self._root, self._files = _open(directory, threads=threads, memory_limit_bytes=memory_limit_bytes)

    def write(self, batch: Batch) -> int:
        """Store a batch once, however often it is given, and return how many records were added.

        All of it is durable when this returns, or nothing of it is stored. One thread a signal. Raises `BadPayload`
        if the batch cannot be stored, `StoreUnavailable` if nothing could be at the moment: give it again.
        """
        generation = self._files.generation
        with self._connection() as connection:
            try:
                if batch.last_id <= last_applied(connection, batch.signal):
                    return 0
                return write_batch(connection, batch)
            except duckdb.Error as error:
                if self._files.mended(since=generation) or isinstance(error, _NOT_THE_BATCH):
                    raise StoreUnavailable(f"{self.directory}: {error}") from error
                raise BadPayload(f"cannot be stored: {error}") from error

    def last_applied(self, signal: Signal) -> int:
        """Spool number up to which payloads of this signal are held; -1 at first."""
        return self._ask(lambda connection: last_applied(connection, signal))

    def request(self, id: str) -> Request | None:
        """See `Store.request`."""
        return self._ask(lambda connection: find_request(connection, id))

    def search_requests(self, query: RequestQuery) -> Page[RequestSummary]:
        """See `Store.search_requests`."""
        return self._ask(lambda connection: search_requests(connection, query))

    def search_logs(self, query: LogQuery) -> Page[LogRecord]:
        """See `Store.search_logs`."""
        return self._ask(lambda connection: search_logs(connection, query))

    def services(self) -> tuple[str, ...]:
        """See `Store.services`."""
        statement = " UNION ".join(f"SELECT unnest(services) FROM {parts}" for parts in PARTS.values())
        return self._ask(lambda c: tuple(row[0] for row in c.execute(f"{statement} ORDER BY 1").fetchall()))

    def counts(self) -> Counts:
        """See `Store.counts`."""
        statement = f"SELECT (SELECT count(*) FROM {TABLES['logs']}), (SELECT count(*) FROM {TABLES['traces']})"
        [(logs, spans)] = self._ask(lambda connection: connection.execute(statement).fetchall())
        return Counts(logs=logs, spans=spans)

    def batches_between(self, signal: Signal, *, from_ns: int, to_ns: int) -> list[StoredBatch]:
        """The batches with records from `from_ns` on and before `to_ns`, in the order in which they were stored."""
        return self._ask(lambda connection: batches_between(connection, signal, from_ns=from_ns, to_ns=to_ns))

    def rows_between(self, signal: Signal, *, batch_id: int, from_ns: int, to_ns: int) -> Iterator[pa.RecordBatch]:
        """The records of such a batch, see `ranges.rows_between`; they are read as they are asked for."""
        # Of its own: whoever reads slowly must not have a thread's connection meanwhile.
        with closing(self._root.cursor()) as connection:
            try:
                yield from rows_between(connection, signal, batch_id=batch_id, from_ns=from_ns, to_ns=to_ns)
            except duckdb.Error as error:
                raise StoreUnavailable(f"{self.directory}: {error}") from error

    def thin(
        self,
        *,
        before_ns: int,
        slow_ns: int,
        keep_ratio: float,
        since: Mark | None = None,
        is_stopping: Callable[[], bool] = lambda: False,
    ) -> Thinned:
        """Delete requests that nobody will miss, see `thin.thin`; blocks, for as long as there are any."""
        return self._ask(
            lambda connection: thin(
                connection,
                before_ns=before_ns,
                slow_ns=slow_ns,
                keep_ratio=keep_ratio,
                since=since,
                is_stopping=is_stopping,
            )
        )

    def close(self) -> None:
        """See `Store.close`; brings the write-ahead logs into the files."""
        self._root.close()

    def _ask(self, question: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        generation = self._files.generation
        with self._connection() as connection:
            try:
                return question(connection)
            except duckdb.Error as error:
                if not self._files.mended(since=generation):
                    raise StoreUnavailable(f"{self.directory}: {error}") from error
            try:
                return question(connection)
            except duckdb.Error as error:
                raise StoreUnavailable(f"{self.directory}: {error}") from error

    @contextmanager
    def _connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor of this thread's own: one connection is not for two threads, nor for two unfinished results."""
        connection: duckdb.DuckDBPyConnection | None = getattr(self._cursors, "connection", None)
        if connection is None:
            connection = self._cursors.connection = self._root.cursor()
        yield connection


def _open(directory: Path, *, threads: int, memory_limit_bytes: int) -> tuple[duckdb.DuckDBPyConnection, Files]:
    root = duckdb.connect(
        config={
            "threads": max(1, min(threads, os.cpu_count() or 1)),
            "memory_limit": f"{memory_limit_bytes // (1 << 20)}MiB",
            "temp_directory": str(directory / "tmp"),
        }
    )
    try:
        files = Files(root, directory)
        create_tables(root)
        bring_up_to_date(root, where=str(directory))
    except duckdb.Error as error:
        root.close()
        raise ConfigError(f"cannot open the data in {directory}: {_first_line(error)}") from error
    except ConfigError:
        root.close()
        raise
    for macro in MACROS:
        root.execute(macro)
    return root, files


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
