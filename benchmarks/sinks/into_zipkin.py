"""A backlog of spans into Zipkin, beside the load generator that posts the same spans to it as v2 JSON.

Zipkin counts what it is sent, so that a span that came twice would be seen; it keeps half a million in memory.
"""

import re
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

from benchmarks.ingest.load import RECORDS, Load, Target
from benchmarks.ingest.rounds import Measure, Rounds, measure_rounds
from benchmarks.sinks.backlog import backlog
from benchmarks.sinks.shipped import CLEW, Shipped, by_clew, by_load, print_shipped
from tests.servers import zipkin
from tests.servers.processes import Server

LOAD_GENERATOR: Final = "load generator"
_WANTED: Final = {"per_s": "at least 0.9 times"}
_TAKEN: Final = re.compile(r'^zipkin_collector_spans_total\{.*transport="http".*\} (\S+)$', re.MULTILINE)
_DROPPED: Final = re.compile(r'^zipkin_collector_spans_dropped_total\{.*transport="http".*\} (\S+)$', re.MULTILINE)


def main() -> None:
    load = Load()
    with zipkin.start() as server:
        rounds: Rounds[Shipped] = measure_rounds(
            {CLEW: partial(_clew, load, server), LOAD_GENERATOR: partial(_load_generator, load, server)}
        )
    print_shipped(f"{RECORDS['traces']:,} spans into Zipkin", rounds, wanted=_WANTED)


@contextmanager
def _clew(load: Load, server: Server) -> Iterator[Measure[Shipped]]:
    """clew with its defaults."""
    with backlog(load, "traces", {"type": "zipkin", "url": server.url}) as waiting:
        measure = partial(by_clew, waiting.drain, pid=server.pid, count=partial(_count, server.url))
        measure()
        yield measure


@contextmanager
def _load_generator(load: Load, server: Server) -> Iterator[Measure[Shipped]]:
    target = Target(protocol="zipkin", url=f"{server.url}/api/v2/spans", pid=server.pid)
    send = partial(load.send, "traces", target)
    measure = partial(by_load, send, pid=server.pid, count=partial(_count, server.url))
    measure()
    yield measure


def _count(url: str) -> int:
    """Spans that were taken since it was started."""
    with urllib.request.urlopen(f"{url}/prometheus", timeout=60) as answer:
        told = answer.read().decode()
    taken, dropped = (sum(float(value) for value in pattern.findall(told)) for pattern in (_TAKEN, _DROPPED))
    return int(taken - dropped)
