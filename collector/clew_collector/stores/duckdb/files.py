"""The files of the embedded store, attached; and attached again when DuckDB has given one up.

A checkpoint that finds the disk full makes DuckDB refuse the file from then on, even to readers, until it is detached
and attached again. Nothing is lost by that: what was committed is in the write-ahead log. It works on a full disk, too.
"""

import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import duckdb

from clew_collector.stores.duckdb.schema import CATALOGS, FILES

_TIMEOUT_S: Final = 5.0
"""A query that still runs holds the old file: it fails at its next look at it."""

_PAUSE_S: Final = 0.02


class Files:
    """The files in a directory, attached to a connection when this is made; raises what DuckDB raises.

    `generation` grows each time that one had to be attached again: what failed before may not fail now.
    """

    def __init__(self, root: duckdb.DuckDBPyConnection, directory: Path) -> None:
        self.generation = 0
        self._root = root
        self._lock = threading.Lock()
        self._paths = {CATALOGS[signal]: directory / name for signal, name in FILES.items()}
        for catalog in self._paths:
            self._attach(root, catalog)

    def mended(self, since: int) -> bool:
        """Attach again what has been given up, after an error; whether that was done `since` this generation.

        For any thread. Blocks while a large write-ahead log is read, about a quarter of a second for 16 MB.
        """
        with self._lock:
            connection = self._root.cursor()
            for catalog in self._paths:
                if not _answers(connection, catalog) and self._attach_again(connection, catalog):
                    self.generation += 1
            connection.close()
            return self.generation != since

    def _attach(self, connection: duckdb.DuckDBPyConnection, catalog: str) -> None:
        path = str(self._paths[catalog]).replace("'", "''")
        connection.execute(f"ATTACH '{path}' AS {catalog} (STORAGE_VERSION 'latest')")
        with suppress(OSError):
            self._paths[catalog].chmod(0o600)

    def _attach_again(self, connection: duckdb.DuckDBPyConnection, catalog: str) -> bool:
        deadline_s = time.monotonic() + _TIMEOUT_S
        while time.monotonic() < deadline_s:
            with suppress(duckdb.Error):
                connection.execute(f"DETACH DATABASE IF EXISTS {catalog}")
                self._attach(connection, catalog)
                return True
            time.sleep(_PAUSE_S)
        return False


def _answers(connection: duckdb.DuckDBPyConnection, catalog: str) -> bool:
    try:
        connection.execute(f"SELECT last_id FROM {catalog}.applied").fetchall()
    except duckdb.Error:
        return False
    return True
