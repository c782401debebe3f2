"""Tables of the embedded store, one DuckDB file a signal.

A DuckDB transaction writes to one file only, and one INSERT runs in one thread: with a file each, logs and spans
have a writer each, and each file remembers by itself which batches it holds.
"""

from typing import Final

import duckdb

from clew_collector.errors import ConfigError
from clew_collector.model import Signal

FORMAT_VERSION: Final = 2
"""Raised when older code could not read what newer code writes."""

FILES: Final[dict[Signal, str]] = {"logs": "logs.duckdb", "traces": "spans.duckdb"}
CATALOGS: Final[dict[Signal, str]] = {"logs": "logs_file", "traces": "spans_file"}
TABLES: Final[dict[Signal, str]] = {"logs": "logs_file.logs", "traces": "spans_file.spans"}
PARTS: Final[dict[Signal, str]] = {"logs": "logs_file.log_parts", "traces": "spans_file.span_parts"}

_ATTRIBUTES = """
    attribute_keys VARCHAR[], attribute_texts VARCHAR[], attribute_types UTINYINT[],
    resource_keys VARCHAR[], resource_texts VARCHAR[], resource_types UTINYINT[]"""
_NESTED = "attribute_keys VARCHAR[], attribute_texts VARCHAR[], attribute_types UTINYINT[]"

# When a log record was observed is kept as the time since it was written: 4 bytes a record less than as a time.
# zstd on the body: 94 bytes a record against 126, faster to write, 1.6 times slower to search.
_DDL: Final[dict[Signal, tuple[str, ...]]] = {
    "logs": (
        f"""CREATE TABLE IF NOT EXISTS logs_file.logs (
            time_ns BIGINT, observed_delay_ns BIGINT, severity_number UTINYINT, severity_text VARCHAR,
            service VARCHAR, body VARCHAR USING COMPRESSION zstd, body_type UTINYINT,
            trace_id BLOB, span_id BLOB, correlation_id VARCHAR, {_ATTRIBUTES},
            scope VARCHAR, event_name VARCHAR, batch_id BIGINT)""",
        """CREATE TABLE IF NOT EXISTS logs_file.log_parts (
            trace_id BLOB, correlation_id VARCHAR, start_ns BIGINT, end_ns BIGINT,
            log_count INTEGER, error_log_count INTEGER, services VARCHAR[])""",
    ),
    "traces": (
        f"""CREATE TABLE IF NOT EXISTS spans_file.spans (
            start_ns BIGINT, end_ns BIGINT, service VARCHAR, name VARCHAR, kind UTINYINT,
            status UTINYINT, status_message VARCHAR,
            trace_id BLOB, span_id BLOB, parent_span_id BLOB, correlation_id VARCHAR, {_ATTRIBUTES},
            events STRUCT(time_ns BIGINT, name VARCHAR, {_NESTED})[],
            links STRUCT(trace_id BLOB, span_id BLOB, {_NESTED})[],
            scope VARCHAR, trace_state VARCHAR, flags UINTEGER, batch_id BIGINT)""",
        """CREATE TABLE IF NOT EXISTS spans_file.span_parts (
            trace_id BLOB, correlation_id VARCHAR, start_ns BIGINT, end_ns BIGINT,
            span_count INTEGER, error_span_count INTEGER, services VARCHAR[],
            root_rank UTINYINT, root_start_ns BIGINT, root_end_ns BIGINT, root_service VARCHAR, root_name VARCHAR,
            entry_start_ns BIGINT, method VARCHAR, route VARCHAR, path VARCHAR, status_code VARCHAR)""",
    ),
}
_COMMON = (
    "CREATE TABLE IF NOT EXISTS {catalog}.applied (last_id BIGINT)",
    "INSERT INTO {catalog}.applied SELECT -1 WHERE NOT EXISTS (FROM {catalog}.applied)",
    "CREATE TABLE IF NOT EXISTS {catalog}.format (version INTEGER)",
    f"INSERT INTO {{catalog}}.format SELECT {FORMAT_VERSION} WHERE NOT EXISTS (FROM {{catalog}}.format)",
)


_FROM_1: Final[dict[Signal, tuple[str, ...]]] = {
    "logs": (
        "ALTER TABLE logs_file.logs RENAME COLUMN observed_time_ns TO observed_delay_ns",
        "UPDATE logs_file.logs SET observed_delay_ns = "
        "CASE WHEN observed_delay_ns > 0 THEN observed_delay_ns - time_ns END",
    ),
    "traces": (),
}
"""What brings a file of the first format up to date."""


def create_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Make what is missing in the attached files; safe to repeat."""
    for signal, catalog in CATALOGS.items():
        for statement in _DDL[signal] + _COMMON:
            connection.execute(statement.format(catalog=catalog))


def bring_up_to_date(connection: duckdb.DuckDBPyConnection, *, where: str) -> None:
    """Give files that an older clew has written today's form. Raises `ConfigError` if it was a newer one."""
    for signal, catalog in CATALOGS.items():
        [(version,)] = connection.execute(f"SELECT max(version) FROM {catalog}.format").fetchall()
        if version > FORMAT_VERSION:
            raise ConfigError(
                f"{where}/{FILES[signal]}: written by a newer clew (format {version}, this one reads "
                f"{FORMAT_VERSION}); upgrade clew or choose another data directory"
            )
        if version < FORMAT_VERSION:
            connection.execute("BEGIN")
            for statement in (*_FROM_1[signal], f"UPDATE {catalog}.format SET version = {FORMAT_VERSION}"):
                connection.execute(statement)
            connection.execute("COMMIT")
