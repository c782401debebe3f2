"""Searching the embedded store: lists of requests and of log records, newest first."""

from typing import Any, Final

import duckdb

from clew_collector.errors import BadQuery
from clew_collector.model import LogRecord, Page, RequestSummary
from clew_collector.query import MAX_LIMIT, LogQuery, RequestQuery
from clew_collector.stores.duckdb.rows import LOG_COLUMNS, SUMMARY_COLUMNS, log_of, summary_of
from clew_collector.stores.duckdb.schema import PARTS, TABLES

_LATEST_NS: Final = 2**63 - 1
_FIRST_WINDOW: Final = 400
_WINDOW_GROWTH: Final = 8

# Both part tables under the same columns. A trace's correlation ID may be known to some of its parts only (a
# service without clew in the middle), so parts are added up by trace first and then by request.
_PARTS: Final = f"""
    SELECT trace_id, correlation_id, start_ns, end_ns, span_count, error_span_count, 0 AS log_count,
           0 AS error_log_count, services, root_rank, root_start_ns, root_end_ns, root_service, root_name,
           entry_start_ns, method, route, path, status_code
    FROM {PARTS["traces"]}
    UNION ALL BY NAME
    SELECT trace_id, correlation_id, start_ns, end_ns, log_count, error_log_count, services, 0 AS span_count,
           0 AS error_span_count
    FROM {PARTS["logs"]}"""

_SUMMARIES: Final = f"""
    WITH parts AS ({_PARTS}),
    hit AS (SELECT DISTINCT trace_id, correlation_id FROM parts WHERE start_ns >= $low AND start_ns < $high),
    hit_ids AS (
        SELECT correlation_id FROM hit WHERE correlation_id IS NOT NULL
        UNION
        SELECT correlation_id FROM parts
        WHERE correlation_id IS NOT NULL AND trace_id IN (SELECT trace_id FROM hit WHERE trace_id IS NOT NULL)),
    near AS (
        SELECT * FROM parts
        WHERE trace_id IN (SELECT trace_id FROM hit WHERE trace_id IS NOT NULL)
           OR correlation_id IN (FROM hit_ids)
           OR trace_id IN (SELECT trace_id FROM parts WHERE correlation_id IN (FROM hit_ids))),
    named AS (
        SELECT * EXCLUDE (correlation_id),
               coalesce(correlation_id,
                        CASE WHEN trace_id IS NOT NULL THEN max(correlation_id) OVER (PARTITION BY trace_id) END)
                   AS correlation_id
        FROM near),
    requests AS (
        SELECT coalesce(correlation_id, lower(hex(trace_id))) AS id,
               any_value(correlation_id) AS correlation_id,
               arg_min(trace_id, start_ns) FILTER (trace_id IS NOT NULL) AS trace_id,
               min(start_ns) AS start_ns, max(end_ns) AS end_ns,
               sum(span_count)::BIGINT AS span_count, sum(error_span_count)::BIGINT AS error_spans,
               sum(log_count)::BIGINT AS log_count, sum(error_log_count)::BIGINT AS error_log_count,
               list_sort(list_distinct(flatten(list(services)))) AS services,
               arg_min({{'start_ns': root_start_ns, 'end_ns': root_end_ns, 'service': root_service, 'name': root_name}},
                       (root_rank, root_start_ns)) FILTER (root_rank IS NOT NULL) AS root,
               arg_min({{'method': method, 'route': route, 'path': path, 'status_code': status_code}}, entry_start_ns)
                   FILTER (entry_start_ns IS NOT NULL) AS entry
        FROM named GROUP BY ALL),
    flat AS (
        SELECT *, root.start_ns AS root_start_ns, root.end_ns AS root_end_ns, root.service AS root_service,
               root.name AS root_name, entry.method AS method, entry.route AS route, entry.path AS path,
               entry.status_code AS status_code,
               coalesce(root.end_ns, end_ns) - coalesce(root.start_ns, start_ns) AS duration_ns
        FROM requests)
    SELECT {SUMMARY_COLUMNS} FROM flat
    WHERE start_ns >= $low AND start_ns < $high"""


def search_requests(connection: duckdb.DuckDBPyConnection, query: RequestQuery) -> Page[RequestSummary]:
    """Requests that started in ever larger windows back from the newest, until a page is full.

    The newest page costs the same however much is stored: only parts of the window are added up.
    """
    before_ns, after_id = _cursor(query.cursor)
    high = min(before_ns + 1, _LATEST_NS if query.to_ns is None else query.to_ns)
    floor = 0 if query.from_ns is None else query.from_ns
    limit = max(1, min(query.limit, MAX_LIMIT))
    where, values = _request_filters(query)
    where += " AND (start_ns < $before_ns OR id > $after_id)"
    values |= {"before_ns": before_ns, "after_id": after_id}
    found: list[RequestSummary] = []
    window = max(_FIRST_WINDOW, 4 * limit)
    while high > floor and len(found) <= limit:
        low = max(floor, _window_start(connection, high, window))
        rows = connection.execute(
            f"{_SUMMARIES}{where} ORDER BY start_ns DESC, id LIMIT $limit",
            {**values, "low": low, "high": high, "limit": limit + 1 - len(found)},
        ).fetchall()
        found.extend(map(summary_of, rows))
        high = low
        window *= _WINDOW_GROWTH
    last = found[limit - 1] if len(found) > limit else None
    return Page(items=tuple(found[:limit]), next=None if last is None else f"{last.start_ns}:{last.id}")


def search_logs(connection: duckdb.DuckDBPyConnection, query: LogQuery) -> Page[LogRecord]:
    """Log records, newest first."""
    limit = max(1, min(query.limit, MAX_LIMIT))
    where, values = _log_filters(query)
    rows = connection.execute(
        f"""SELECT {LOG_COLUMNS}, rowid FROM {TABLES["logs"]} WHERE {where}
            ORDER BY time_ns DESC, rowid DESC LIMIT $limit""",
        {**values, "limit": limit + 1},
    ).fetchall()
    logs = tuple(log_of(row) for row in rows[:limit])
    return Page(items=logs, next=f"{logs[-1].time_ns}:{rows[limit - 1][-1]}" if len(rows) > limit else None)


def _window_start(connection: duckdb.DuckDBPyConnection, high: int, size: int) -> int:
    """Start of the oldest of the `size` newest parts before `high`; 0 where there are fewer."""
    rows = connection.execute(
        f"""SELECT min(start_ns), count(*) FROM (
                SELECT start_ns FROM (
                    SELECT start_ns FROM {PARTS["traces"]} UNION ALL SELECT start_ns FROM {PARTS["logs"]})
                WHERE start_ns < $high ORDER BY start_ns DESC LIMIT $size)""",
        {"high": high, "size": size},
    ).fetchall()
    [(start_ns, count)] = rows
    return int(start_ns) if count == size else 0


def _request_filters(query: RequestQuery) -> tuple[str, dict[str, Any]]:
    clauses: list[str] = []
    values: dict[str, Any] = {}
    if query.service is not None:
        clauses.append("list_contains(services, $service)")
        values["service"] = query.service
    if query.route is not None:
        clauses.append("contains(lower(concat_ws(' ', method, coalesce(route, path), root_name)), lower($route))")
        values["route"] = query.route
    if query.status is not None:
        clauses.append("status_code LIKE $status")
        values["status"] = _status_pattern(query.status)
    if query.error is not None:
        clauses.append(f"(error_spans > 0 OR error_log_count > 0) = {query.error}")
    if query.min_duration_ns is not None:
        clauses.append("duration_ns >= $min_duration_ns")
        values["min_duration_ns"] = query.min_duration_ns
    if query.id is not None:
        # A trace ID of 64 bits is kept with zeroes before it, and looked for without.
        clauses.append(
            "(starts_with(id, $id) OR starts_with(lower(hex(trace_id)), lower($id))"
            " OR starts_with(lower(hex(trace_id)), repeat('0', 16) || lower($id)))"
        )
        values["id"] = query.id
    return "".join(f" AND {clause}" for clause in clauses), values


def _log_filters(query: LogQuery) -> tuple[str, dict[str, Any]]:
    before_ns, row_id = _cursor(query.cursor)
    clauses = ["time_ns < $high", "time_ns >= $floor", "(time_ns < $before_ns OR rowid < $row_id)"]
    values: dict[str, Any] = {
        "high": min(before_ns + 1, _LATEST_NS if query.to_ns is None else query.to_ns),
        "before_ns": before_ns,
        "row_id": int(row_id) if row_id.isdecimal() else 0,
        "floor": 0 if query.from_ns is None else query.from_ns,
    }
    if query.service is not None:
        clauses.append("service = $service")
        values["service"] = query.service
    if query.min_severity is not None:
        clauses.append("severity_number >= $min_severity")
        values["min_severity"] = query.min_severity
    if query.text is not None:
        clauses.append("contains(lower(body), lower($text))")
        values["text"] = query.text
    if query.request_id is not None:
        clauses.append(
            "(correlation_id = $request_id"
            " OR lower(hex(trace_id)) IN (lower($request_id), repeat('0', 16) || lower($request_id)))"
        )
        values["request_id"] = query.request_id
    return " AND ".join(clauses), values


def _status_pattern(status: str) -> str:
    text = status.strip().lower()
    if len(text) == 3 and text[0].isdecimal() and all(c.isdecimal() or c == "x" for c in text[1:]):
        return text.replace("x", "_")
    raise BadQuery(f"status must be a code such as 404 or a class such as 5xx, got {status!r}")


def _cursor(cursor: str | None) -> tuple[int, str]:
    """Time and tie-breaker of the last item of the page before; records of one time may fall on two pages."""
    if cursor is None:
        return _LATEST_NS, ""
    time_ns, _, tie = cursor.partition(":")
    if not time_ns.isdecimal() or len(time_ns) > 19 or not tie:
        raise BadQuery(f"cursor must be the `next` of an earlier answer, got {cursor!r}")
    return min(int(time_ns), _LATEST_NS - 1), tie
