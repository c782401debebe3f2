"""Snapshots for tests of what is made out of them."""

from clew_collector.model import Counts
from clew_collector.spool import DeadLetter, Depth, Series
from clew_server.snapshot import ReaderState, Snapshot

NOW_NS = 1_780_000_000 * 10**9
NOTHING_WAITS = Depth(payloads=0, bytes=0, oldest_ns=None)


def a_snapshot(**changed: object) -> Snapshot:
    fields: dict[str, object] = {
        "now_ns": NOW_NS,
        "stored": Counts(logs=3, spans=2),
        "counters": {},
        "spool": NOTHING_WAITS,
        "max_spool_bytes": 1_000,
        "readers": (a_reader(),),
        "dead_letters": (),
    }
    return Snapshot(**fields | changed)  # type: ignore[arg-type]


def a_reader(
    name: str = "store", *, waiting: Depth = NOTHING_WAITS, outage: str | None = None, **lag_s: float
) -> ReaderState:
    return ReaderState(name=name, waiting=waiting, lag_s=lag_s, outage=outage)  # type: ignore[arg-type]


def waiting(payloads: int = 1, *, bytes: int = 10, age_s: float = 1.0) -> Depth:
    return Depth(payloads=payloads, bytes=bytes, oldest_ns=NOW_NS - int(age_s * 10**9))


def a_dead_letter(id: int = 1, *, reason: str = "odd", age_s: float = 1.0, size_bytes: int = 10) -> DeadLetter:
    return DeadLetter(
        id=id,
        signal="logs",
        received_ns=NOW_NS - int(age_s * 10**9),
        records=1,
        source="otlp_http",
        reader="store",
        reason=reason,
        size_bytes=size_bytes,
    )


SOME_COUNTERS = {
    Series("accepted", "logs", "", "otlp_http", "orders"): 5,
    Series("accepted", "traces", "", "otlp_http", "orders"): 7,
    Series("accepted", "traces", "", "zipkin", "orders"): 11,
    Series("accepted", "logs", "", "syslog", "web"): 2,
    Series("duplicate", "logs", "", "otlp_http", "orders"): 3,
    Series("refused", "logs", "bad payload", "otlp_http"): 4,
    Series("dropped", "logs", "poison payload", "store"): 1,
    Series("stored", "logs", "", "store"): 6,
    Series("thinned", "logs", "", "store"): 8,
}
