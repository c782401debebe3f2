"""DuckDB connections of sinks: one a thread, as DuckDB asks."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import duckdb

from clew_collector.processors.base import open_connection
from clew_collector.sinks.base import Outgoing


class Connections:
    """A connection with the macros of batches, and more, for each thread that asks for one; opened when it does."""

    def __init__(self, macros: Iterable[str] = ()) -> None:
        self._macros = tuple(macros)
        self._of_thread = threading.local()

    @contextmanager
    def holding(self, outgoing: Outgoing) -> Iterator[duckdb.DuckDBPyConnection]:
        """This thread's connection, with the batch in it."""
        connection: duckdb.DuckDBPyConnection | None = getattr(self._of_thread, "connection", None)
        if connection is None:
            connection = self._of_thread.connection = open_connection(self._macros)
        connection.register("batch", outgoing.table)
        try:
            yield connection
        finally:
            connection.unregister("batch")
