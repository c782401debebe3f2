"""Log records from a socket to queryable, against a real Elasticsearch's `_bulk`.

A load generator (Go) sends bodies that were made once: OTLP/protobuf in bodies of 512 to clew, the same records as
Elasticsearch documents in bodies of 1,000 to `_bulk`. Rounds are interleaved; each starts from an empty store; CPU
seconds are those of all processes of the server, and of the three seconds after, in which merges settle.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.table import print_table, spread
from tests.server.running_clew import clew_up
from tests.servers import elasticsearch

RECORDS = 1_000_000
ROUNDS = 5
CONNECTIONS = 4
WARM_UP_RECORDS = 200_000
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "clew-benchmarks"
LOAD_SOURCE = Path(os.environ.get("CLEW_BENCH_LOAD", Path(__file__).parents[2] / "shared" / "load"))
STORED = "import json, sys; print(json.load(sys.stdin)['stored']['logs'])"
COUNTED = "import json, sys; print(json.load(sys.stdin)['count'])"


def main() -> None:
    load = _load_generator()
    corpus = _corpus(load)
    ours: list[dict[str, Any]] = []
    theirs: list[dict[str, Any]] = []
    with _elasticsearch() as (url, pid):
        _send_to_elasticsearch(load, corpus, url, pid, index="warm-up", records=WARM_UP_RECORDS)
        for number in range(ROUNDS):
            ours.append(_send_to_clew(load, corpus))
            theirs.append(_send_to_elasticsearch(load, corpus, url, pid, index=f"logs-round-{number}", records=RECORDS))
    for results in (ours, theirs):
        lost = sum(result["lost"] for result in results)
        if lost:
            raise SystemExit(f"{lost} records were lost: these figures mean nothing")
    _print(ours, theirs)


def _print(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> None:
    rows = []
    for name, key, digits in (
        ("queryable, records/s", "queryable_per_s", 0),
        ("acknowledged, records/s", "acked_per_s", 0),
        ("CPU-seconds a million", "server_cpu_s_per_million", 1),
        ("peak memory, MB", "server_peak_rss_mb", 0),
        ("answer, 99th percentile, ms", "req_ms_p99", 1),
    ):
        us, them = [result[key] for result in ours], [result[key] for result in theirs]
        ratio = statistics.median(us) / statistics.median(them)
        rows.append([name, spread(us, digits), spread(them, digits), f"{ratio:.2f}"])
    print_table(
        f"Ingest of {RECORDS:,} log records, {CONNECTIONS} connections (median of {ROUNDS} interleaved rounds)",
        ["", "clew, OTLP/HTTP", "Elasticsearch, _bulk", "clew / Elasticsearch"],
        rows,
    )


def _send_to_clew(load: Path, corpus: Path) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir=CACHE) as data, clew_up(Path(data)) as running:
        poll = f"curl -s '{running.dashboard_url}/health?format=json' | {sys.executable} -c \"{STORED}\""
        url = f"{running.otlp_url}/v1/logs"
        return _send(load, corpus, protocol="http", url=url, pid=running.process.pid, poll=poll)


def _send_to_elasticsearch(load: Path, corpus: Path, url: str, pid: int, *, index: str, records: int) -> dict[str, Any]:
    _put_index(f"{url}/{index}")
    poll = (
        f"curl -s -o /dev/null -X POST {url}/{index}/_refresh; "
        f'curl -s {url}/{index}/_count | {sys.executable} -c "{COUNTED}"'
    )
    bulk = f"{url}/{index}/_bulk"
    result = _send(load, corpus, protocol="es", url=bulk, pid=pid, poll=poll, records=records)
    urllib.request.urlopen(urllib.request.Request(f"{url}/{index}", method="DELETE")).close()
    time.sleep(2)
    return result


def _send(
    load: Path, corpus: Path, *, protocol: str, url: str, pid: int, poll: str, records: int = RECORDS
) -> dict[str, Any]:
    command = [str(load), "send", "-data", str(corpus), "-signal", "logs", "-proto", protocol, "-url", url]
    command += ["-conns", str(CONNECTIONS), "-pid", str(pid), "-poll", poll, "-n", str(records)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(
        f"{protocol}: {result['queryable_per_s']:,}/s queryable, {result['server_cpu_s_per_million']} CPU-s/M",
        file=sys.stderr,
        flush=True,
    )
    return result


def _put_index(url: str) -> None:
    """As the index template has it: IDs and names as keywords, the message as text, one shard."""
    keyword, text = {"type": "keyword"}, {"type": "text"}
    names = ("trace.id", "span.id", "service.name", "service.version", "host.name", "log.level")
    mapping = {
        "settings": {"number_of_shards": 1, "number_of_replicas": 0, "refresh_interval": "1s"},
        "mappings": {
            "dynamic_templates": [{"strings": {"match_mapping_type": "string", "mapping": keyword}}],
            "properties": {
                "@timestamp": {"type": "date_nanos"},
                "message": text,
                **dict.fromkeys(names, keyword),
            },
        },
    }
    body = json.dumps(mapping).encode()
    headers = {"content-type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(url, data=body, method="PUT", headers=headers)).close()


@contextmanager
def _elasticsearch() -> Iterator[tuple[str, int]]:
    with elasticsearch.start(heap_mb=2048) as server:
        yield server.url, server.pid


def _load_generator() -> Path:
    """The load generator, built once."""
    binary = CACHE / "load"
    if binary.exists():
        return binary
    if not LOAD_SOURCE.is_dir() or shutil.which("go") is None:
        raise SystemExit(f"the ingest benchmark needs Go and a load generator in {LOAD_SOURCE} (CLEW_BENCH_LOAD)")
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as build:
        shutil.copytree(LOAD_SOURCE, build, dirs_exist_ok=True)
        subprocess.run(["go", "build", "-o", str(binary), "."], cwd=build, check=True)
    return binary


def _corpus(load: Path) -> Path:
    """The bodies, made once: 1 M log records over 12 services, about 200 characters a message."""
    corpus = CACHE / "corpus"
    if not (corpus / "meta.json").exists():
        command = [str(load), "gen", "-data", str(corpus), "-logs", str(RECORDS), "-spans", "500000"]
        subprocess.run(command, check=True)
    return corpus
