"""Records from a socket to where they can be asked for: OTLP into clew, against a real Elasticsearch's `_bulk`.

OTLP/protobuf in bodies of 512 goes to clew, over HTTP and over gRPC; the same records go as documents in bodies of
1,000 to `_bulk`. The forwarders, which store nothing, are beside them in the same rounds. Ratios are taken within each
round.
"""

from functools import partial
from typing import Final

from benchmarks.ingest.forwarders import OTELCOL_VERSION, ROTEL_VERSION, otelcol, rotel
from benchmarks.ingest.load import CONNECTIONS, RECORDS, Load, Sent
from benchmarks.ingest.rounds import ROUNDS, Rounds, measure_rounds
from benchmarks.ingest.servers import clew, elasticsearch_bulk
from benchmarks.table import print_table
from clew_collector.model import Signal

HTTP: Final = "clew, OTLP/HTTP"
GRPC: Final = "clew, OTLP/gRPC"
ELASTIC: Final = "Elasticsearch, _bulk"
OTELCOL: Final = f"OpenTelemetry Collector {OTELCOL_VERSION}"
ROTEL: Final = f"rotel {ROTEL_VERSION}"

_RECORD_NAMES: Final[dict[Signal, str]] = {"logs": "log records", "traces": "spans"}
_FIGURES: Final = (
    ("queryable, records/s", "queryable_per_s", 0),
    ("acknowledged, records/s", "acked_per_s", 0),
    ("CPU-seconds a million", "cpu_s_per_million", 1),
    ("peak memory of all processes, MB", "peak_mb", 0),
    ("on disk, bytes a record", "bytes_a_record", 1),
    ("answer, 99th percentile, ms", "p99_ms", 1),
)
_WANTED: Final[dict[Signal, dict[str, str]]] = {
    "logs": {
        "queryable_per_s": "at least 2.0 times; hoped for: 2.8",
        "cpu_s_per_million": "at most 0.35 times",
        "peak_mb": "under 900",
        "bytes_a_record": "at most 100",
    },
    "traces": {
        "queryable_per_s": "at least 1.2 times; hoped for: 1.7",
        "cpu_s_per_million": "at most 0.60 times",
        "peak_mb": "under 900",
        "bytes_a_record": "at most 80",
    },
}


def logs() -> None:
    """The tables of log records."""
    _measure("logs")


def spans() -> None:
    """The tables of spans."""
    _measure("traces")


def _measure(signal: Signal) -> None:
    load = Load()
    rounds = measure_rounds(
        {
            HTTP: partial(clew, load, signal, protocol="http"),
            GRPC: partial(clew, load, signal, protocol="grpc"),
            ELASTIC: partial(elasticsearch_bulk, load, signal),
            OTELCOL: partial(otelcol, load, signal),
            ROTEL: partial(rotel, load, signal),
        }
    )
    rounds.print_missing()
    for system in rounds.by_system:
        if lost := sum(rounds.values(system, "lost")):
            raise SystemExit(f"{system} lost {lost:.0f} records: these figures mean nothing")
    what = f"{RECORDS[signal]:,} {_RECORD_NAMES[signal]}, {CONNECTIONS} connections"
    _print_against_elasticsearch(what, signal, rounds)
    _print_by_protocol(what, rounds)
    _print_forwarders(what, rounds)


def _print_against_elasticsearch(what: str, signal: Signal, rounds: Rounds[Sent]) -> None:
    print_table(
        f"Ingest of {what} (median of {ROUNDS} interleaved rounds, smallest to largest)",
        ["", HTTP, ELASTIC, "clew / Elasticsearch", "wanted"],
        [
            [
                name,
                rounds.cell(HTTP, figure, digits),
                rounds.cell(ELASTIC, figure, digits),
                rounds.ratio(HTTP, ELASTIC, figure),
                _WANTED[signal].get(figure, ""),
            ]
            for name, figure, digits in _FIGURES
        ],
    )


def _print_by_protocol(what: str, rounds: Rounds[Sent]) -> None:
    print_table(
        f"gRPC beside HTTP: {what}, the same rounds",
        ["", GRPC, HTTP, "gRPC / HTTP", "wanted"],
        [
            [
                name,
                rounds.cell(GRPC, figure, digits),
                rounds.cell(HTTP, figure, digits),
                rounds.ratio(GRPC, HTTP, figure),
                "at least 0.90 times" if figure == "queryable_per_s" else "",
            ]
            for name, figure, digits in _FIGURES
            if figure != "bytes_a_record"
        ],
    )


def _print_forwarders(what: str, rounds: Rounds[Sent]) -> None:
    """Acknowledged is all that there is to say of who stores nothing."""
    figures = [each for each in _FIGURES if each[1] not in ("queryable_per_s", "bytes_a_record")]
    print_table(
        f"Beside forwarders, which store nothing: {what}, the same rounds",
        ["", HTTP, OTELCOL, ROTEL],
        [
            [name, *(rounds.cell(system, figure, digits) for system in (HTTP, OTELCOL, ROTEL))]
            for name, figure, digits in figures
        ],
    )
