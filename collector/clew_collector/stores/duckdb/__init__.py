"""The embedded store."""

from clew_collector.stores.duckdb.store import DuckDBStore

__all__ = ["DuckDBStore"]
