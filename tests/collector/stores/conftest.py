"""The stores that the contract is held against."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvicorn

from clew_collector.stores.base import Store
from clew_collector.stores.duckdb import DuckDBStore
from clew_collector.stores.remote import RemoteStore

StoreOf = Callable[[DuckDBStore], Store]


def _embedded(store: DuckDBStore, _request: pytest.FixtureRequest) -> Store:
    return store


def _remote(store: DuckDBStore, request: pytest.FixtureRequest) -> Store:
    from clew_dashboards.app import create_app

    server = uvicorn.Server(uvicorn.Config(create_app(store), port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    remote = RemoteStore(f"http://127.0.0.1:{port}")

    def stop() -> None:
        remote.close()
        server.should_exit = True
        thread.join()

    request.addfinalizer(stop)
    return remote


STORES = {"embedded": _embedded, "remote": _remote}


@pytest.fixture(params=STORES)
def store_of(request: pytest.FixtureRequest) -> StoreOf:
    """Makes the store under test over records that an embedded one holds."""
    return lambda embedded: STORES[request.param](embedded, request)


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[DuckDBStore]:
    """An empty embedded store to put records into."""
    store = DuckDBStore(tmp_path)
    yield store
    store.close()
