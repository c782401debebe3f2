"""`python -m benchmarks [NAME...]`: run the benchmarks and print their tables."""

import sys
from collections.abc import Callable

from benchmarks import request_page
from benchmarks.ingest import acknowledged, stored, syslog_udp
from benchmarks.instrumentation import call_cost, context_loss, footprint, line_cost, request_cost, throughput
from benchmarks.sinks import into_elasticsearch, into_zipkin

BENCHMARKS: dict[str, Callable[[], None]] = {
    "request_cost": request_cost.main,
    "line_cost": line_cost.main,
    "call_cost": call_cost.main,
    "throughput": throughput.main,
    "footprint": footprint.main,
    "context_loss": context_loss.main,
    "ingest_logs": stored.logs,
    "ingest_spans": stored.spans,
    "acknowledged": acknowledged.main,
    "syslog_udp": syslog_udp.main,
    "sinks_elasticsearch": into_elasticsearch.logs,
    "sinks_elasticsearch_shared_cores": into_elasticsearch.logs_on_shared_cores,
    "sinks_elasticsearch_spans": into_elasticsearch.spans,
    "sinks_zipkin": into_zipkin.main,
    "request_page": request_page.main,
}


def main(names: list[str]) -> None:
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        raise SystemExit(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    for name in names or BENCHMARKS:
        BENCHMARKS[name]()


if __name__ == "__main__":
    main(sys.argv[1:])
