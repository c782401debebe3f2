"""Writing batches: rows, the request index and the batch's number, in one transaction."""

from contextlib import suppress
from typing import Final

import duckdb

from clew.fields import HTTP_METHOD, HTTP_ROUTE, HTTP_STATUS_CODE, URL_PATH
from clew_collector.batch import Batch
from clew_collector.model import ERROR_SEVERITY, SPAN_KINDS, SPAN_STATUSES, Signal
from clew_collector.stores.duckdb.schema import CATALOGS, PARTS, TABLES

_SERVER = SPAN_KINDS.index("server")
_CONSUMER = SPAN_KINDS.index("consumer")
_ERROR = SPAN_STATUSES.index("error")
_HAS_ID = "trace_id IS NOT NULL OR correlation_id IS NOT NULL"


def _attribute(name: str) -> str:
    return f"attribute_texts[list_position(attribute_keys, '{name}')]"


# A part says what one batch knows of one trace. Parts are added up when somebody asks: the spans of a trace come in
# many batches, from many services, in any order. The root is the span without a parent; until that has come, the
# first server or consumer span stands in for it, then the first of any kind.
_PARTS_OF_BATCH: Final[dict[Signal, str]] = {
    "logs": f"""
        SELECT trace_id, correlation_id, min(time_ns), max(time_ns), count(*),
               count(*) FILTER (severity_number >= {ERROR_SEVERITY}), list(DISTINCT service)
        FROM {TABLES["logs"]} WHERE batch_id = $batch_id AND ({_HAS_ID}) GROUP BY trace_id, correlation_id""",
    "traces": f"""
        WITH ranked AS (
            SELECT *, CASE WHEN parent_span_id IS NULL THEN 0
                           WHEN kind IN ({_SERVER}, {_CONSUMER}) THEN 1 ELSE 2 END AS rank
            FROM {TABLES["traces"]} WHERE batch_id = $batch_id AND ({_HAS_ID})),
        parts AS (
            SELECT trace_id, correlation_id, min(start_ns) AS start_ns, max(coalesce(end_ns, start_ns)) AS end_ns,
                   count(*) AS spans, count(*) FILTER (status = {_ERROR}) AS errors, list(DISTINCT service) AS services,
                   arg_min({{'rank': rank, 'start_ns': start_ns, 'end_ns': end_ns, 'service': service, 'name': name}},
                           (rank, start_ns)) AS root,
                   arg_min({{'start_ns': start_ns, 'method': {_attribute(HTTP_METHOD)},
                             'route': {_attribute(HTTP_ROUTE)}, 'path': {_attribute(URL_PATH)},
                             'status_code': {_attribute(HTTP_STATUS_CODE)}}}, start_ns)
                       FILTER (kind = {_SERVER}) AS entry
            FROM ranked GROUP BY trace_id, correlation_id)
        SELECT trace_id, correlation_id, start_ns, end_ns, spans, errors, services,
               root.rank, root.start_ns, root.end_ns, root.service, root.name,
               entry.start_ns, entry.method, entry.route, entry.path, entry.status_code
        FROM parts""",
}


def last_applied(connection: duckdb.DuckDBPyConnection, signal: Signal) -> int:
    """Number of the newest payload that the file of this signal holds; -1 if it holds none."""
    # fetchall, not fetchone: a result with rows left would hold the connection.
    [(last_id,)] = connection.execute(f"SELECT max(last_id) FROM {CATALOGS[signal]}.applied").fetchall()
    return int(last_id)


def write_batch(connection: duckdb.DuckDBPyConnection, batch: Batch) -> int:
    """Store a batch, all of it or nothing, and return how many rows it had.

    Raises what DuckDB raises; nothing is stored then.
    """
    connection.register("batch", batch.table)
    connection.execute("BEGIN")
    try:
        [(rows,)] = connection.execute(
            f"INSERT INTO {TABLES[batch.signal]} SELECT *, $batch_id FROM ({batch.select})",
            {"batch_id": batch.last_id},
        ).fetchall()
        connection.execute(
            f"INSERT INTO {PARTS[batch.signal]} {_PARTS_OF_BATCH[batch.signal]}", {"batch_id": batch.last_id}
        )
        connection.execute(
            f"UPDATE {CATALOGS[batch.signal]}.applied SET last_id = $last_id", {"last_id": batch.last_id}
        )
        _commit(connection)
    except BaseException:
        _roll_back(connection)
        raise
    finally:
        connection.unregister("batch")
    return int(rows)


def _commit(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("COMMIT")


def _roll_back(connection: duckdb.DuckDBPyConnection) -> None:
    # A failed COMMIT has rolled back by itself.
    with suppress(duckdb.TransactionException):
        connection.execute("ROLLBACK")
