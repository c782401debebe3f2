"""A backlog into Elasticsearch, beside the load generator that writes `_bulk` directly.

The load generator writes documents of its own to an index, which makes their IDs: that is what is aimed at. And it
writes clew's documents, IDs and all, to a data stream like clew's: where clew is as fast as that, Elasticsearch is the
bound. Elasticsearch has half of the cores, as if it were elsewhere; in a second table all share all of them: the load
generator has encoded its documents long before, so whatever clew computes is then taken from Elasticsearch.
"""

import struct
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final

from benchmarks.ingest.load import CACHE, RECORDS, Load
from benchmarks.ingest.rounds import Measure, Rounds, System, measure_rounds
from benchmarks.ingest.servers import HEAP_MB, SETTLING_S, ask, new_index, target_of_index
from benchmarks.sinks.backlog import backlog
from benchmarks.sinks.processes import apart
from benchmarks.sinks.shipped import CLEW, Shipped, by_clew, by_load, print_shipped
from clew_collector.model import Signal
from clew_collector.sinks.connections import Connections
from clew_collector.sinks.elasticsearch.documents import select_lines
from clew_collector.sinks.elasticsearch.requests import body_of
from clew_collector.sinks.encoding import MACROS, readable
from tests.collector.sinks.outgoing import outgoing_bodies
from tests.servers import elasticsearch
from tests.servers.processes import Server

OTHER_DOCUMENTS: Final = "load generator"
SAME_DOCUMENTS: Final = "load generator, clew's documents"

_WHAT: Final[dict[Signal, str]] = {"logs": "log records", "traces": "spans"}
_FILES: Final[dict[Signal, str]] = {"logs": "logs.es", "traces": "spans.es"}
_WANTED: Final = {"per_s": "at least 0.9 times", "sender_cpu_s_per_million": "at most 15"}


def logs() -> None:
    """The table of log records, with Elasticsearch on cores of its own."""
    _measure("logs", where="on cores of its own")


def logs_on_shared_cores() -> None:
    """The table of log records, with Elasticsearch on the cores that its senders compute on."""
    _measure("logs", where="on shared cores")


def spans() -> None:
    """The table of spans, with Elasticsearch on cores of its own."""
    _measure("traces", where="on cores of its own")


def _measure(signal: Signal, *, where: str) -> None:
    load, start = Load(), elasticsearch.start(heap_mb=HEAP_MB)
    with start if where == "on shared cores" else apart(start) as server:
        systems: dict[str, System[Shipped]] = {
            CLEW: partial(_clew, load, signal, server),
            OTHER_DOCUMENTS: partial(_other_documents, load, signal, server),
            SAME_DOCUMENTS: partial(_same_documents, load, signal, server),
        }
        rounds: Rounds[Shipped] = measure_rounds(systems)
    print_shipped(f"{RECORDS[signal]:,} {_WHAT[signal]} into Elasticsearch {where}", rounds, wanted=_WANTED)


@contextmanager
def _clew(load: Load, signal: Signal, server: Server) -> Iterator[Measure[Shipped]]:
    """clew with its defaults; warm, which is also when it installs its templates."""
    with backlog(load, signal, {"type": "elasticsearch", "urls": [server.url]}) as waiting:

        def measure() -> Shipped:
            with _stream(server, signal) as stream:
                return by_clew(waiting.drain, pid=server.pid, count=partial(_count, stream))

        measure()
        yield measure


@contextmanager
def _other_documents(load: Load, signal: Signal, server: Server) -> Iterator[Measure[Shipped]]:
    def measure() -> Shipped:
        index = f"{server.url}/{signal}-round"
        send = partial(load.send, signal, target_of_index(index, server.pid))
        with new_index(index):
            return by_load(send, pid=server.pid, count=partial(_count, index))

    measure()
    yield measure


@contextmanager
def _same_documents(load: Load, signal: Signal, server: Server) -> Iterator[Measure[Shipped]]:
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        _encode(load, signal, Path(folder) / _FILES[signal])

        def measure() -> Shipped:
            with _stream(server, signal) as stream:
                send = partial(load.send, signal, target_of_index(stream, server.pid), corpus=Path(folder))
                return by_load(send, pid=server.pid, count=partial(_count, stream))

        yield measure


def _encode(load: Load, signal: Signal, path: Path) -> None:
    """clew's documents, in bodies of two payloads each: about as many as the load generator's own have."""
    connections, bodies = Connections(MACROS), enumerate(load.bodies(signal), start=1)
    with path.open("wb") as file:
        while pair := list(islice(bodies, 2)):
            batch = outgoing_bodies(signal, [body for _, (_, body) in pair], first_id=pair[0][0])
            with connections.holding(batch) as encoder, readable(encoder, batch) as records:
                lines = encoder.sql(select_lines(signal, records, origin="another1"))
                [rows] = lines.to_arrow_table().combine_chunks().to_batches()
            file.write(struct.pack("<II", rows.num_rows, len(body := body_of(rows))) + body)


@contextmanager
def _stream(server: Server, signal: Signal) -> Iterator[str]:
    """The data stream that clew writes to by default, which is empty at first."""
    url = f"{server.url}/{signal}-clew-default"
    try:
        yield url
    finally:
        # Not every distribution can delete a data stream; each can delete an index that is not written to any more.
        ask("DELETE", f"{server.url}/{ask('POST', f'{url}/_rollover')['old_index']}")
        time.sleep(SETTLING_S)


def _count(url: str) -> int:
    """Documents that can be found; none where there is no such index yet."""
    ask("POST", f"{url}/_refresh?ignore_unavailable=true")
    there: int = ask("GET", f"{url}/_count?ignore_unavailable=true")["count"]
    return there
