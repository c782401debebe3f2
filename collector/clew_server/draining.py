"""Storing what waits in a spool, in this process and now."""

from pathlib import Path

from clew_collector.model import SIGNALS
from clew_collector.pipeline import Pipeline
from clew_collector.spool import Spool
from clew_collector.stores.duckdb import DuckDBStore


def drain(spool_path: Path, store: DuckDBStore) -> int:
    """Move all payloads into the store and return how many records they had."""
    spool = Spool(spool_path)
    try:
        return sum(Pipeline(signal, spool, store).drain() for signal in SIGNALS)
    finally:
        spool.close()
