"""A backlog of spans into Zipkin, beside the load generator that posts the same spans to it as v2 JSON.

The load generator has encoded them long before, with fewer tags than OTLP has attributes; it posts clew's JSON, too:
where clew is as fast as that, Zipkin is the bound. Zipkin counts what it is sent, so that a span that came twice would
be seen; it keeps half a million in memory, for which it has a larger heap than by default, and half of the cores, as
if it were elsewhere.
"""

import re
import struct
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.ingest.load import CACHE, RECORDS, Load, Target
from benchmarks.ingest.rounds import Measure, Rounds, measure_rounds
from benchmarks.sinks.backlog import backlog
from benchmarks.sinks.processes import apart
from benchmarks.sinks.shipped import CLEW, Shipped, by_clew, by_load, print_shipped
from clew_collector.processors.base import open_connection
from clew_collector.wire.zipkin.to_json import MACROS, encode_v2_json
from tests.collector.sinks.outgoing import outgoing_bodies
from tests.servers import zipkin
from tests.servers.processes import Server

OTHER_JSON: Final = "load generator"
SAME_JSON: Final = "load generator, clew's JSON"

_FILE: Final = "spans.zipkin"
# What it keeps is 1.3 GB: with 2 GB half of its time is spent on garbage, and how much depends on who went before.
_HEAP_MB: Final = 8_192
_WANTED: Final = {"per_s": "at least 0.9 times"}
_TAKEN: Final = re.compile(r'^zipkin_collector_spans_total\{.*transport="http".*\} (\S+)$', re.MULTILINE)
_DROPPED: Final = re.compile(r'^zipkin_collector_spans_dropped_total\{.*transport="http".*\} (\S+)$', re.MULTILINE)


def main() -> None:
    load = Load()
    with apart(zipkin.start(heap_mb=_HEAP_MB)) as server:
        rounds: Rounds[Shipped] = measure_rounds(
            {
                CLEW: partial(_clew, load, server),
                OTHER_JSON: partial(_other_json, load, server),
                SAME_JSON: partial(_same_json, load, server),
            }
        )
    print_shipped(f"{RECORDS['traces']:,} spans into Zipkin on cores of its own", rounds, wanted=_WANTED)


@contextmanager
def _clew(load: Load, server: Server) -> Iterator[Measure[Shipped]]:
    """clew with its defaults."""
    with backlog(load, "traces", {"type": "zipkin", "url": server.url}) as waiting:
        measure = partial(by_clew, waiting.drain, pid=server.pid, count=partial(_count, server.url))
        measure()
        yield measure


@contextmanager
def _other_json(load: Load, server: Server) -> Iterator[Measure[Shipped]]:
    measure = _by_load(load, server, corpus=None)
    measure()
    yield measure


@contextmanager
def _same_json(load: Load, server: Server) -> Iterator[Measure[Shipped]]:
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        _encode(load, Path(folder) / _FILE)
        yield _by_load(load, server, corpus=Path(folder))


def _by_load(load: Load, server: Server, *, corpus: Path | None) -> Measure[Shipped]:
    target = Target(protocol="zipkin", url=f"{server.url}/api/v2/spans", pid=server.pid)
    send = partial(load.send, "traces", target, corpus=corpus)
    return partial(by_load, send, pid=server.pid, count=partial(_count, server.url))


def _encode(load: Load, path: Path) -> None:
    """clew's JSON, a body for each payload."""
    with path.open("wb") as file, open_connection(MACROS) as connection:
        for number, (records, body) in enumerate(load.bodies("traces"), start=1):
            batch = outgoing_bodies("traces", [body], first_id=number)
            connection.register("batch", batch.table)
            spans = [text for piece in encode_v2_json(connection, batch.select) for text in piece["json"].to_pylist()]
            encoded = f"[{''.join(spans).removesuffix(',')}]".encode()
            file.write(struct.pack("<II", records, len(encoded)) + encoded)


def _count(url: str) -> int:
    """Spans that were taken since it was started."""
    with urllib.request.urlopen(f"{url}/prometheus", timeout=60) as answer:
        told = answer.read().decode()
    taken, dropped = (sum(float(value) for value in pattern.findall(told)) for pattern in (_TAKEN, _DROPPED))
    return int(taken - dropped)
