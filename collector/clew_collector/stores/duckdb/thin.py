"""Thinning: deleting whole requests that nobody will miss, long after everything about them was stored."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Final

import duckdb

from clew_collector.model import SIGNALS, Signal, record
from clew_collector.stores.duckdb.schema import PARTS, TABLES

MAX_STEP_RECORDS: Final = 100_000
"""Records that one transaction deletes, or those of one request; a step holds up the store's other readers a little."""

_HASHES: Final = 2**64

_TIMES: Final[dict[Signal, str]] = {"logs": "time_ns", "traces": "start_ns"}

# What is kept spreads: a request that shares a trace with one that is kept is kept with it. So each request is whole,
# or gone. A trace's correlation ID may be known to some of its parts only, as in the list of requests.
_UNREMARKABLE: Final = f"""
    WITH RECURSIVE parts AS (
        SELECT trace_id, correlation_id, start_ns, end_ns, span_count AS records, error_span_count > 0 AS has_failed,
               true AS is_span
        FROM {PARTS["traces"]}
        UNION ALL
        SELECT trace_id, correlation_id, start_ns, end_ns, log_count, error_log_count > 0, false FROM {PARTS["logs"]}),
    named AS (
        SELECT *, coalesce(correlation_id,
                           CASE WHEN trace_id IS NOT NULL THEN max(correlation_id) OVER (PARTITION BY trace_id) END,
                           lower(hex(trace_id))) AS id
        FROM parts),
    slow AS (
        SELECT trace_id FROM parts WHERE is_span AND trace_id IS NOT NULL
        GROUP BY 1 HAVING max(end_ns) - min(start_ns) >= $slow_ns),
    members AS (SELECT DISTINCT id, trace_id FROM named),
    kept(id) AS (
        SELECT id FROM named
        WHERE has_failed OR end_ns >= $before_ns OR trace_id IN (FROM slow)
           OR md5_number_lower(id) < $chosen::HUGEINT
        UNION
        SELECT other.id FROM kept JOIN members AS own ON own.id = kept.id JOIN members AS other USING (trace_id))
    SELECT list(DISTINCT correlation_id) FILTER (correlation_id IS NOT NULL),
           list(DISTINCT trace_id) FILTER (trace_id IS NOT NULL), min(start_ns), max(end_ns), sum(records)::BIGINT
    FROM named WHERE id NOT IN (FROM kept) GROUP BY id ORDER BY 3, id"""


@record
class Thinned:
    """How much was deleted."""

    requests: int
    logs: int
    spans: int


@record
class _Step:
    """Requests that are deleted together."""

    requests: int
    correlation_ids: list[str]
    trace_ids: list[bytes]
    start_ns: int
    end_ns: int


def thin(
    connection: duckdb.DuckDBPyConnection,
    *,
    before_ns: int,
    slow_ns: int,
    keep_ratio: float,
    max_step_records: int = MAX_STEP_RECORDS,
    is_stopping: Callable[[], bool] = lambda: False,
) -> Thinned:
    """Delete requests of which nothing is as new as `before_ns`, oldest first, and say how much that was.

    Not those that failed, of which a trace took `slow_ns` or longer, or which are in the share `keep_ratio`, chosen by
    a hash of the ID. Records without a trace and a correlation ID are no request's and stay. Each step is a
    transaction a file; one that was interrupted is made up for by the next call. Raises what DuckDB raises.
    """
    rows = connection.execute(
        _UNREMARKABLE, {"before_ns": before_ns, "slow_ns": slow_ns, "chosen": str(round(keep_ratio * _HASHES))}
    ).fetchall()
    requests = 0
    deleted: dict[Signal, int] = dict.fromkeys(SIGNALS, 0)
    for step in _steps(rows, max_step_records):
        if is_stopping():
            break
        for signal in SIGNALS:
            deleted[signal] += _delete(connection, signal, step)
        requests += step.requests
    return Thinned(requests=requests, logs=deleted["logs"], spans=deleted["traces"])


_Row = tuple[list[str] | None, list[bytes] | None, int, int, int]


def _steps(rows: Iterable[_Row], max_records: int) -> Iterator[_Step]:
    gathered: list[_Row] = []
    records = 0
    for row in rows:
        if gathered and records + row[4] > max_records:
            yield _step(gathered)
            gathered, records = [], 0
        gathered.append(row)
        records += row[4]
    if gathered:
        yield _step(gathered)


def _step(rows: list[_Row]) -> _Step:
    return _Step(
        requests=len(rows),
        correlation_ids=[id for row in rows for id in row[0] or ()],
        trace_ids=[id for row in rows for id in row[1] or ()],
        start_ns=min(row[2] for row in rows),
        end_ns=max(row[3] for row in rows),
    )


def statements(signal: Signal) -> tuple[str, str]:
    """SQL that deletes records of a signal and their parts, by trace and by correlation ID, in a time range."""
    of_requests = "(trace_id IN (SELECT unnest($traces)) OR correlation_id IN (SELECT unnest($ids)))"
    return (
        f"DELETE FROM {TABLES[signal]} WHERE {_TIMES[signal]} BETWEEN $low AND $high AND {of_requests}",
        f"DELETE FROM {PARTS[signal]} WHERE start_ns BETWEEN $low AND $high AND {of_requests}",
    )


def _delete(connection: duckdb.DuckDBPyConnection, signal: Signal, step: _Step) -> int:
    values = {
        "traces": step.trace_ids,
        "ids": step.correlation_ids,
        "low": step.start_ns,
        "high": step.end_ns,
    }
    connection.execute("BEGIN")
    try:
        deleted, _ = [connection.execute(statement, values).fetchall()[0][0] for statement in statements(signal)]
        connection.execute("COMMIT")
    except BaseException:
        # A failed COMMIT has rolled back by itself.
        with suppress(duckdb.TransactionException):
            connection.execute("ROLLBACK")
        raise
    return int(deleted)
