"""What the Health page shows, read from the spool's durable counters and the store."""

from collections import Counter as Tally
from pathlib import Path

from clew_collector.spool import Spool
from clew_collector.stores.base import Store
from clew_dashboards.health import Health


def read_health(store: Store, spool_path: Path, *, now_ns: int) -> Health:
    """Counts of records since the data directory was made, and what waits now. Blocks for a few milliseconds."""
    spool = Spool(spool_path)
    try:
        counters, depth = spool.counters(), spool.depth()
    finally:
        spool.close()
    tallies: dict[str, Tally[str]] = {
        "accepted": Tally(),
        "duplicate": Tally(),
        "refused": Tally(),
        "dropped": Tally(),
    }
    for series, count in counters.items():
        tallies[series.outcome][f"{series.signal}: {series.reason}" if series.reason else series.signal] += count
    return Health(
        stored=store.counts(),
        accepted=tallies["accepted"],
        duplicate=tallies["duplicate"],
        refused=tallies["refused"],
        dropped=tallies["dropped"],
        spool_payloads=depth.payloads,
        spool_bytes=depth.bytes,
        oldest_age_s=None if depth.oldest_ns is None else max(0.0, (now_ns - depth.oldest_ns) / 1e9),
    )
