"""Thinning: deleting whole requests that nobody will miss, long after everything about them was stored."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import field
from typing import Final

import duckdb

from clew_collector.model import SIGNALS, Signal, record
from clew_collector.stores.duckdb.schema import PARTS, TABLES
from clew_collector.stores.duckdb.write import last_applied

MAX_STEP_RECORDS: Final = 100_000
"""Records that one transaction deletes, or those of one request; a step holds up the store's other readers a little."""

_HASHES: Final = 2**64

_TIMES: Final[dict[Signal, str]] = {"logs": "time_ns", "traces": "start_ns"}

_ENDS: Final[dict[Signal, str]] = {"logs": "time_ns", "traces": "coalesce(end_ns, start_ns)"}

# Since it was last looked, a request can have become one to delete only if its newest part was too new then, or if
# something came that was old already: all others were deleted, or are kept for good.
_CHANGED: Final = " UNION ".join(
    f"""SELECT trace_id, correlation_id FROM {PARTS[signal]} WHERE end_ns >= $since_ns AND end_ns < $before_ns
        UNION SELECT trace_id, correlation_id FROM {TABLES[signal]}
        WHERE batch_id > ${signal}_id AND {_ENDS[signal]} < $since_ns
          AND (trace_id IS NOT NULL OR correlation_id IS NOT NULL)"""
    for signal in SIGNALS
)

_IS_NEAR: Final = """(trace_id IN (SELECT trace_id FROM temp.near WHERE trace_id IS NOT NULL)
    OR correlation_id IN (SELECT correlation_id FROM temp.near WHERE correlation_id IS NOT NULL))"""

_NEXT_NEAR: Final = " UNION ".join(
    f"SELECT trace_id, correlation_id FROM {PARTS[signal]} WHERE {_IS_NEAR}" for signal in SIGNALS
)

# What is kept spreads: a request that shares a trace with one that is kept is kept with it. So each request is whole,
# or gone. A trace's correlation ID may be known to some of its parts only, as in the list of requests.
_UNREMARKABLE: Final = """
    WITH RECURSIVE parts AS (
        SELECT trace_id, correlation_id, start_ns, end_ns, span_count AS records, error_span_count > 0 AS has_failed,
               true AS is_span
        FROM {spans} WHERE {is_meant}
        UNION ALL
        SELECT trace_id, correlation_id, start_ns, end_ns, log_count, error_log_count > 0, false
        FROM {logs} WHERE {is_meant}),
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
class Mark:
    """What has been looked at: requests of which nothing is as new as `before_ns`, and the batches up to a number."""

    before_ns: int
    batches: Mapping[Signal, int]


@record
class Thinned:
    """How much was deleted, and from where to go on; `None` if not all was looked at."""

    requests: int
    logs: int
    spans: int
    mark: Mark | None = field(default=None, compare=False)


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
    since: Mark | None = None,
    max_step_records: int = MAX_STEP_RECORDS,
    is_stopping: Callable[[], bool] = lambda: False,
) -> Thinned:
    """Delete requests of which nothing is as new as `before_ns`, oldest first, and say how much that was.

    Not those that failed, of which a trace took `slow_ns` or longer, or which are in the share `keep_ratio`, chosen by
    a hash of the ID. Records without a trace and a correlation ID are no request's and stay. With the mark of a call
    before, whose settings were the same, it looks only at what can have changed. Each step is a transaction a file; one
    that was interrupted is made up for by the next call. Raises what DuckDB raises.
    """
    # Before anything is looked at: what is written meanwhile is looked at again.
    mark = Mark(before_ns=before_ns, batches={signal: last_applied(connection, signal) for signal in SIGNALS})
    is_meant = "true"
    if since is not None:
        if not _find_changed(connection, since, before_ns=before_ns):
            return Thinned(requests=0, logs=0, spans=0, mark=mark)
        is_meant = _IS_NEAR
    rows = connection.execute(
        _UNREMARKABLE.format(spans=PARTS["traces"], logs=PARTS["logs"], is_meant=is_meant),
        {"before_ns": before_ns, "slow_ns": slow_ns, "chosen": str(round(keep_ratio * _HASHES))},
    ).fetchall()
    requests = 0
    deleted: dict[Signal, int] = dict.fromkeys(SIGNALS, 0)
    for step in _steps(rows, max_step_records):
        if is_stopping():
            return Thinned(requests=requests, logs=deleted["logs"], spans=deleted["traces"])
        for signal in SIGNALS:
            deleted[signal] += _delete(connection, signal, step)
        requests += step.requests
    return Thinned(requests=requests, logs=deleted["logs"], spans=deleted["traces"], mark=mark)


def _find_changed(connection: duckdb.DuckDBPyConnection, since: Mark, *, before_ns: int) -> bool:
    """Put into `temp.near` what requests that changed are known by, and all that hangs together with them."""
    values = {
        "since_ns": since.before_ns,
        "before_ns": before_ns,
        **{f"{signal}_id": since.batches[signal] for signal in SIGNALS},
    }
    connection.execute(f"CREATE OR REPLACE TEMP TABLE near AS {_CHANGED}", values)
    [(size,)] = connection.execute("SELECT count(*) FROM temp.near").fetchall()
    grown = size
    while grown:
        [(grown,)] = connection.execute(f"INSERT INTO temp.near ({_NEXT_NEAR}) EXCEPT FROM temp.near").fetchall()
    return bool(size)


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
