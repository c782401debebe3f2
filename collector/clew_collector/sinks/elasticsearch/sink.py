"""The sink itself: encodes a batch while earlier parts of it are on their way."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from clew_collector.model import SIGNALS
from clew_collector.sinks.base import Outgoing, RefusedRecord
from clew_collector.sinks.connections import Connections
from clew_collector.sinks.elasticsearch.bulk import Bulk
from clew_collector.sinks.elasticsearch.cluster import Cluster
from clew_collector.sinks.elasticsearch.config import ElasticsearchConfig
from clew_collector.sinks.elasticsearch.documents import select_lines, with_lists_of_one_type
from clew_collector.sinks.elasticsearch.requests import cut
from clew_collector.sinks.elasticsearch.templates import Templates
from clew_collector.sinks.encoding import MACROS, readable

_ROWS_AT_ONCE: Final = 2_048


class ElasticsearchSink:
    """Writes records to data streams, each once: see `Sink`.

    `origin` is the spool's (`Spool.origin`): with a payload's number and a record's place in it, it makes the
    document's `_id`. Nothing is asked of the cluster before the first batch. Raises `ConfigError`.
    """

    def __init__(self, config: ElasticsearchConfig, *, origin: str) -> None:
        self.name = config.name
        self._config = config
        self._origin = origin
        self._cluster = Cluster(config)
        self._templates = Templates(self._cluster, config) if config.install_templates else None
        self._bulk = Bulk(self._cluster, origin=origin, max_bytes=config.max_request_bytes)
        self._connections = Connections(MACROS)
        self._pools = {
            signal: ThreadPoolExecutor(config.connections, thread_name_prefix=f"{config.name}-{signal}")
            for signal in SIGNALS
        }

    def write(self, outgoing: Outgoing) -> Sequence[RefusedRecord]:
        """See `Sink.write`."""
        stream = self._config.stream(outgoing.signal)
        if stream is None:
            return []
        if self._templates is not None:
            self._templates.ensure(outgoing.signal)
        sent: deque[Future[list[RefusedRecord]]] = deque()
        refused: list[RefusedRecord] = []
        try:
            for rows in self._rows(outgoing) if outgoing.encoded is None else outgoing.encoded:
                if len(sent) > self._config.connections:
                    refused += sent.popleft().result()
                maybe_there = pc.min(rows.column("payload_id")).as_py() <= outgoing.attempted_id
                sent.append(
                    self._pools[outgoing.signal].submit(self._bulk.write, stream, rows, maybe_there=maybe_there)
                )
            while sent:
                refused += sent.popleft().result()
        finally:
            # Nothing of a batch may be under way when it is given again.
            for each in sent:
                each.cancel() or each.exception()
        return refused

    def encode(self, outgoing: Outgoing) -> Sequence[pa.RecordBatch]:
        """See `EncodingSink.encode`."""
        return [] if self._config.stream(outgoing.signal) is None else list(self._rows(outgoing))

    def close(self) -> None:
        """See `Sink.close`."""
        for pool in self._pools.values():
            pool.shutdown(cancel_futures=True)
        self._cluster.close()

    def _rows(self, outgoing: Outgoing) -> Iterator[pa.RecordBatch]:
        with (
            self._connections.holding(outgoing) as encoder,
            readable(encoder, outgoing, change=with_lists_of_one_type) as records,
        ):
            lines = select_lines(outgoing.signal, records, origin=self._origin)
            for rows in encoder.sql(lines).to_arrow_reader(_ROWS_AT_ONCE):
                yield from cut(rows, max_bytes=self._bulk.max_bytes)
