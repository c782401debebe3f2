"""SQLite, one file a service; each statement is a span of the request that ran it."""

import re
import sqlite3
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from opentelemetry import trace

BUSY_TIMEOUT_S = 5
TABLE = re.compile(r"\b(?:FROM|INTO|UPDATE)\s+(\w+)")

Parameters = Mapping[str, object]

tracer = trace.get_tracer(__name__)


class Statements:
    """What can be done with a connection: run statements, get their rows."""

    def __init__(self, connection: sqlite3.Connection, database: str) -> None:
        self._connection = connection
        self._database = database

    def execute(self, query: str, parameters: Parameters | None = None) -> list[sqlite3.Row]:
        """Run one statement and return its rows."""
        with self._span(query):
            return self._connection.execute(query, parameters or {}).fetchall()

    def execute_many(self, query: str, rows: Sequence[Parameters]) -> None:
        """Run one statement for each of the rows."""
        with self._span(query) as span:
            span.set_attribute("db.operation.batch.size", len(rows))
            self._connection.executemany(query, rows)

    @contextmanager
    def _span(self, query: str) -> Iterator[trace.Span]:
        """A span like `SELECT products`, where there is a request that it belongs to."""
        parent = trace.get_current_span()
        if not parent.get_span_context().is_valid:
            yield parent
            return
        operation, table = query.split(maxsplit=1)[0], TABLE.findall(query)[0]
        attributes = {
            "db.system.name": "sqlite",
            "db.namespace": self._database,
            "db.operation.name": operation,
            "db.collection.name": table,
            "db.query.text": " ".join(query.split()),
        }
        with tracer.start_as_current_span(
            f"{operation} {table}", kind=trace.SpanKind.CLIENT, attributes=attributes
        ) as span:
            yield span


class Database:
    """One SQLite file, safe from any thread: whoever reads or writes has a connection to himself.

    Calls block. A coroutine makes them through `asyncio.to_thread`, which takes the trace along.
    """

    def __init__(self, path: Path, *, schema: str) -> None:
        self.path = path
        self._idle: deque[sqlite3.Connection] = deque()
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._connection() as connection:
            connection.executescript(f"PRAGMA journal_mode = WAL; {schema}")

    @contextmanager
    def read(self) -> Iterator[Statements]:
        """Statements that change nothing. They never wait for a writer."""
        with self._connection() as connection:
            yield Statements(connection, self.path.stem)

    @contextmanager
    def write(self) -> Iterator[Statements]:
        """One transaction: committed when the block ends, rolled back when it raises. Writers queue up."""
        with self._connection() as connection, connection:
            connection.execute("BEGIN IMMEDIATE")
            yield Statements(connection, self.path.stem)

    def close(self) -> None:
        """Close what is idle. Twice is safe."""
        while self._idle:
            self._idle.pop().close()

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._connect()
        try:
            yield connection
        finally:
            self._idle.append(connection)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA synchronous = NORMAL")  # in WAL mode, safe against a killed process
        return connection
