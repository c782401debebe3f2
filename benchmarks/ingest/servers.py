"""Those that store what they are sent: clew, and a real Elasticsearch, each empty at the start of a round."""

import json
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal

from benchmarks.ingest.load import CACHE, Load, Sent, Target
from benchmarks.ingest.rounds import Measure
from clew_collector.model import Signal
from clew_collector.stores.duckdb.schema import FILES
from tests.server.running_clew import RunningClew, clew_up
from tests.servers import elasticsearch
from tests.servers.missing import ServerMissingError

HEAP_MB: Final = 2048
SETTLING_S: Final = 2
"""What was deleted is cleaned up at nobody's expense."""

_WARM_UP_RECORDS: Final = 200_000
_STORED_NAMES: Final[dict[Signal, str]] = {"logs": "logs", "traces": "spans"}


@contextmanager
def clew(load: Load, signal: Signal, *, protocol: Literal["http", "grpc"]) -> Iterator[Measure[Sent]]:
    """A `clew up` with its defaults; what is on disk is the store's file, after it has ended."""

    def measure() -> Sent:
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            with quiet_clew(Path(folder)) as running:
                sent = load.send(signal, target_of(running, signal, protocol=protocol))
            return replace(sent, bytes_a_record=(Path(folder) / FILES[signal]).stat().st_size / sent.acked)

    yield measure


@contextmanager
def quiet_clew(data: Path) -> Iterator[RunningClew]:
    """`clew up` that keeps nothing but what is sent: its own lines would be counted."""
    config = data / "clew.yaml"
    config.write_text("telemetry: {observe_itself: false}\n")
    with clew_up(data, "--config", str(config)) as running:
        yield running


def target_of(running: RunningClew, signal: Signal, *, protocol: Literal["http", "grpc"] = "http") -> Target:
    """Where a running clew takes a signal. Raises `ServerMissingError` if it does not."""
    if protocol == "grpc" and "grpc" not in running.urls:
        raise ServerMissingError("this clew does not take OTLP/gRPC")
    url = running.urls["grpc"] if protocol == "grpc" else f"{running.otlp_url}/v1/{signal}"
    return Target(protocol=protocol, url=url, pid=running.process.pid, poll=_poll_of(running, signal))


def _poll_of(running: RunningClew, signal: Signal) -> str:
    """No Python in here: it runs every 150 ms, on the machine that is measured."""
    stored = rf'"stored":\{{[^}}]*"{_STORED_NAMES[signal]}":\K[0-9]+'
    return f"curl -s '{running.dashboard_url}/health?format=json' | grep -oP '{stored}' | head -1"


@contextmanager
def elasticsearch_bulk(load: Load, signal: Signal) -> Iterator[Measure[Sent]]:
    """One Elasticsearch for all rounds, warm, with an index for each; bodies of 1,000 documents.

    What is on disk is the index after a flush, without the translog. Raises `ServerMissingError`.
    """
    with elasticsearch.start(heap_mb=HEAP_MB) as server:
        names = (f"{signal}-round-{number}" for number in range(1_000))

        def measure(records: int | None = None) -> Sent:
            index = f"{server.url}/{next(names)}"
            with new_index(index):
                sent = load.send(signal, target_of_index(index, server.pid), records=records)
                return replace(sent, bytes_a_record=_index_bytes(index) / sent.acked)

        measure(_WARM_UP_RECORDS)
        yield measure


def target_of_index(url: str, pid: int) -> Target:
    """Where an index or a data stream takes documents."""
    counted = r'"count":\K[0-9]+'
    poll = f"curl -s -o /dev/null -X POST {url}/_refresh; curl -s {url}/_count | grep -oP '{counted}'"
    return Target(protocol="es", url=f"{url}/_bulk", pid=pid, poll=poll)


@contextmanager
def new_index(url: str) -> Iterator[None]:
    """An index as clew's template has it: IDs and names as keywords, the message as text, one shard."""
    keyword, text = {"type": "keyword"}, {"type": "text"}
    names = ("trace.id", "span.id", "parent.id", "service.name", "service.version", "host.name", "log.level")
    mapping = {
        "settings": {"number_of_shards": 1, "number_of_replicas": 0, "refresh_interval": "1s"},
        "mappings": {
            "dynamic_templates": [{"strings": {"match_mapping_type": "string", "mapping": keyword}}],
            "properties": {"@timestamp": {"type": "date_nanos"}, "message": text, **dict.fromkeys(names, keyword)},
        },
    }
    ask("PUT", url, mapping)
    try:
        yield
    finally:
        ask("DELETE", url)
        time.sleep(SETTLING_S)


def _index_bytes(url: str) -> int:
    ask("POST", f"{url}/_flush?force=true&wait_if_ongoing=true")
    size: int = ask("GET", f"{url}/_stats/store")["_all"]["primaries"]["store"]["size_in_bytes"]
    return size


def ask(method: str, url: str, body: object = None) -> Any:
    """What Elasticsearch answers. Raises `HTTPError` for an answer that is no success."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers={"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)
