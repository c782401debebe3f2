"""The store process: pipelines from the spool into the embedded store, and the pages that ask it."""

import socket
import sys
import threading
import time

from fastapi import FastAPI

from clew_collector.config import CollectorConfig
from clew_collector.model import SIGNALS
from clew_collector.pipeline import Pipeline, run_in_thread
from clew_collector.processors.config import Processors, compose
from clew_collector.spool import Spool
from clew_collector.stores.duckdb import DuckDBStore
from clew_dashboards.app import create_app
from clew_server import probes, sink_states, stored_records
from clew_server.followed_pages import follow_pages
from clew_server.health import health_of
from clew_server.housekeeping import keep_house
from clew_server.own_telemetry import observe_itself
from clew_server.process import (
    configure_logging,
    exit_on_config_error,
    read_arguments,
    run_async,
    serve,
    stopping_on_signals,
)
from clew_server.sinking import RunningSinks
from clew_server.snapshot import Progress, Snapshot, take_snapshot

LOCAL_NAMES = ("127.0.0.1", "localhost")
_STOP_TIMEOUT_S = 10


def keep_and_show(config: CollectorConfig, listening: socket.socket) -> None:
    """Store what the spool holds and answer questions until asked to stop."""
    store = DuckDBStore(config.data, memory_limit_bytes=config.store.memory_bytes)
    stopping = threading.Event()
    # A spool each: an SQLite connection is for one thread at a time.
    pipelines = [
        Pipeline(signal, Spool(config.spool_path), store, processors=_processors(config)) for signal in SIGNALS
    ]
    threads = [run_in_thread(pipeline, stopping) for pipeline in pipelines]
    sinks = RunningSinks(config, stopping)
    threads += sinks.threads
    movers: list[Progress] = [*pipelines, *sinks.shipments]
    if (housekeeping := keep_house(config, store, stopping)) is not None:
        threads.append(housekeeping)

    def take() -> Snapshot:
        return take_snapshot(
            store, config.spool_path, movers, max_spool_bytes=config.spool.max_bytes, now_ns=time.time_ns()
        )

    try:
        app = create_app(store, health=lambda: health_of(take()), allowed_hosts=LOCAL_NAMES)
        app.include_router(probes.router(take))
        app.include_router(sink_states.router(config, take))
        app.include_router(stored_records.router(store))
        follow_pages(app)
        run_async(_show(app, listening))
    finally:
        stopping.set()
        for thread in threads:
            thread.join(_STOP_TIMEOUT_S)
        sinks.close()
        store.close()


def _processors(config: CollectorConfig) -> Processors | None:
    """Each pipeline has its own: they are for one thread."""
    return compose(config.processors) if config.processors else None


async def _show(app: FastAPI, listening: socket.socket) -> None:
    await serve(app, listening, stopping=stopping_on_signals())


def main() -> None:
    """`python -m clew_server.store CONFIG_FD dashboard=SOCKET_FD`."""
    configure_logging()
    observe_itself("store")
    config, sockets = read_arguments(sys.argv)
    with exit_on_config_error():
        keep_and_show(config, sockets["dashboard"][0])


if __name__ == "__main__":
    main()
