"""As many records as a day has at 500 a second, at full speed, into the store and a real Elasticsearch.

Sends `CLEW_SOAK_RECORDS` (43,200,000), three of four of them log records, the others spans, then counts both sides
body by body, and prints what is missing or doubled and whether the memory of any process grows.
"""

import json
import os
import tempfile
import time
from collections import Counter as Tally
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import httpx

from tests.server.running_clew import clew_up
from tests.servers import elasticsearch
from tests.soak.bodies import RECORDS_EACH, body_id
from tests.soak.full_speed import FullSpeed
from tests.soak.memory import Sampling, print_growth

RECORDS = int(os.environ.get("CLEW_SOAK_RECORDS", 500 * 86_400))
DRAIN_S = 1800.0
TOLD_EVERY_S = 60.0
STREAMS = {"logs": "logs-soak-default", "traces": "traces-soak-default"}
PAGE = 1000


def holds() -> bool:
    """Whether all went well."""
    print(f"{RECORDS:,} records at full speed, from {time.strftime('%H:%M:%S')}", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="clew-soak-") as folder,
        elasticsearch.start(heap_mb=2048) as server,
    ):
        data = Path(folder, "data")
        with clew_up(data, "--config", str(_written(Path(folder, "clew.yaml"), server.url))) as running:
            load, sampling = FullSpeed(running.otlp_url, bodies=RECORDS // RECORDS_EACH), Sampling(running.process.pid)
            began_s = time.monotonic()
            with sampling.running():
                load.run(tell_every_s=TOLD_EVERY_S)
                running.wait_until_applied(timeout_s=DRAIN_S)
            took_s = time.monotonic() - began_s
        expected = {body_id(number): RECORDS_EACH for number in range(load.bodies)}
        found = {"store": _in_store(data), "elasticsearch": _in_elasticsearch(server.url)}
    print_growth(sampling.growth(), began_s=began_s)
    sent = load.bodies * RECORDS_EACH
    print(f"\n{sent:,} records were acknowledged, {sent / took_s:,.0f} a second until both sides had them")
    for problem, count in load.problems.items():
        print(f"{count} times {problem}")
    is_whole = [_tell(side, found[side], expected) for side in found]
    return all(is_whole) and all(each.is_flat for each in sampling.growth())


def _written(config: Path, elasticsearch_url: str) -> Path:
    sink = {"type": "elasticsearch", "urls": [elasticsearch_url], **STREAMS}
    settings = {"telemetry": {"observe_itself": False}, "spool": {"max_bytes": 512 << 20}, "sinks": [sink]}
    config.write_text(json.dumps(settings))  # JSON is YAML, too
    return config


def _in_store(data: Path) -> Tally[str]:
    """Records by body; one that is there twice counts twice."""
    found: Tally[str] = Tally()
    for file, table in (("logs.duckdb", "logs"), ("spans.duckdb", "spans")):
        with duckdb.connect(str(data / file), read_only=True) as connection:
            counts = connection.execute(f"SELECT correlation_id, count(*) FROM {table} GROUP BY ALL").fetchall()
        found.update(dict(counts))
    return found


def _in_elasticsearch(url: str) -> Tally[str]:
    found: Tally[str] = Tally()
    with httpx.Client(base_url=url, timeout=300) as client:
        for stream in STREAMS.values():
            client.post(f"/{stream}/_refresh").raise_for_status()
            for bucket in _buckets(client, stream):
                found[bucket["key"]["body"]] += bucket["doc_count"]
    return found


def _buckets(client: httpx.Client, stream: str) -> Iterator[dict[str, Any]]:
    after: dict[str, Any] = {}
    while True:
        source = [{"body": {"terms": {"field": "correlation.id"}}}]
        composite = {"size": PAGE, "sources": source, **after}
        answer = client.post(f"/{stream}/_search", json={"size": 0, "aggs": {"bodies": {"composite": composite}}})
        found = answer.raise_for_status().json()["aggregations"]["bodies"]
        yield from found["buckets"]
        if "after_key" not in found:
            return
        after = {"after": found["after_key"]}


def _tell(side: str, found: Tally[str], expected: dict[str, int]) -> bool:
    lost = sum(max(0, count - found[body]) for body, count in expected.items())
    doubled = sum(max(0, count - expected.get(body, 0)) for body, count in found.items())
    print(f"{side}: {found.total():,} records, {lost} lost, {doubled} doubled")
    return not lost and not doubled
