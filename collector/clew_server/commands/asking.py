"""The store that a command asks: the running `clew up`, or else the files themselves."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clew_collector.errors import ConfigError
from clew_collector.stores.base import Store
from clew_collector.stores.duckdb import DuckDBStore
from clew_collector.stores.remote import RemoteStore
from clew_server.draining import drain
from clew_server.running import DataLock, find_running


@contextmanager
def store_to_ask(data: Path) -> Iterator[Store]:
    """A store over the data in this directory, closed at the end.

    Opens the files only when nothing runs: one process can hold them. What was acknowledged but not yet stored when
    the last `clew up` ended is stored first. Raises `ConfigError` if there is no data.
    """
    running = find_running(data)
    if running is not None:
        remote = RemoteStore(running.dashboard_url)
        try:
            yield remote
        finally:
            remote.close()
        return
    if not data.is_dir():
        raise ConfigError(f"no data in {data}, and no clew runs there; start one with `clew up` or choose --data")
    lock = DataLock(data)
    store = DuckDBStore(data)
    try:
        drain(data / "spool.sqlite", store)
        yield store
    finally:
        store.close()
        lock.release()
