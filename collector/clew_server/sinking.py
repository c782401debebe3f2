"""The sinks of a configuration, each signal of each in a thread of its own."""

import threading
from collections.abc import Sequence

from clew_collector.config import CollectorConfig
from clew_collector.model import Signal
from clew_collector.pipeline import run_in_thread
from clew_collector.processors.config import compose
from clew_collector.sinks.base import Sink
from clew_collector.sinks.config import SinkConfig, bounds_of, make_sink, signals_of
from clew_collector.sinks.shipping import Shipping
from clew_collector.spool import STORE, Spool
from clew_server.packages import check_installed


def register_readers(config: CollectorConfig, spool: Spool) -> None:
    """Let the spool know who reads: the store, and each sink."""
    only = {sink.name: signals_of(sink) for sink in config.sinks}
    spool.register([STORE, *only], only=only)


class RunningSinks:
    """Sinks from when this is made until `close`, which follows the stop of the threads. Raises `ConfigError`."""

    def __init__(self, config: CollectorConfig, stopping: threading.Event) -> None:
        self._sinks: list[Sink] = []
        self.shipments: list[Shipping] = []
        check_installed(config)
        for sink_config in config.sinks:
            sink = make_sink(sink_config, origin=_origin(config))
            self._sinks.append(sink)
            self.shipments += [_shipment(config, sink_config, sink, signal) for signal in signals_of(sink_config)]
        self.threads: Sequence[threading.Thread] = [run_in_thread(each, stopping) for each in self.shipments]

    def close(self) -> None:
        """Let go of the other sides."""
        for sink in self._sinks:
            sink.close()


def _shipment(config: CollectorConfig, sink_config: SinkConfig, sink: Sink, signal: Signal) -> Shipping:
    return Shipping(
        signal,
        Spool(config.spool_path),  # one each: an SQLite connection is for one thread at a time
        sink,
        bounds=bounds_of(sink_config),
        processors=compose(config.processors) if config.processors else None,
    )


def _origin(config: CollectorConfig) -> str:
    spool = Spool(config.spool_path)
    try:
        return spool.origin()
    finally:
        spool.close()
