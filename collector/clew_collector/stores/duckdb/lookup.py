"""Everything about one request, by its correlation ID or the ID of one of its traces."""

import re
from typing import Final

import duckdb

from clew_collector.model import LogRecord, Request, Span
from clew_collector.stores.duckdb.rows import LOG_COLUMNS, SPAN_COLUMNS, log_of, span_of
from clew_collector.stores.duckdb.schema import PARTS, TABLES

MAX_REQUEST_RECORDS: Final = 200_000
"""Spans, and log records, that one request hands out; a constant sent as correlation ID makes endless ones."""

_TRACE_ID = re.compile(r"[0-9a-f]{16}|[0-9a-f]{32}")
_PARTS: Final = f"""
    SELECT trace_id, correlation_id, start_ns, end_ns FROM {PARTS["traces"]}
    UNION ALL SELECT trace_id, correlation_id, start_ns, end_ns FROM {PARTS["logs"]}"""


def find_request(connection: duckdb.DuckDBPyConnection, id: str) -> Request | None:
    """The request with this ID, or `None`.

    The small part tables say first which traces belong to it and when it ran, so that the records are looked for in
    that time only.
    """
    correlation_ids = _correlation_ids(connection, id)
    traces, start_ns, end_ns = _traces(connection, correlation_ids, id)
    if start_ns is None:
        return None
    values = {
        "traces": traces,
        "ids": correlation_ids,
        "low": start_ns,
        "high": end_ns,
        "limit": MAX_REQUEST_RECORDS + 1,
    }
    spans = _spans(connection, values)
    logs = _logs(connection, values)
    return _request(
        spans=spans[:MAX_REQUEST_RECORDS],
        logs=logs[:MAX_REQUEST_RECORDS],
        correlation_id=correlation_ids[0] if correlation_ids else None,
        truncated=max(len(spans), len(logs)) > MAX_REQUEST_RECORDS,
    )


def _correlation_ids(connection: duckdb.DuckDBPyConnection, id: str) -> list[str]:
    rows = connection.execute(
        f"""SELECT correlation_id, min(start_ns) FROM ({_PARTS})
            WHERE correlation_id IS NOT NULL AND (correlation_id = $id OR trace_id = $trace)
            GROUP BY 1 ORDER BY 2, 1""",
        {"id": id, "trace": _trace_bytes(id)},
    ).fetchall()
    exact = [row[0] for row in rows if row[0] == id]
    return exact or [row[0] for row in rows]


def _traces(
    connection: duckdb.DuckDBPyConnection, correlation_ids: list[str], id: str
) -> tuple[list[bytes], int | None, int]:
    trace = _trace_bytes(id) if id not in correlation_ids else None
    rows = connection.execute(
        f"""WITH parts AS ({_PARTS}),
            traces AS (
                SELECT trace_id FROM parts WHERE trace_id IS NOT NULL AND list_contains($ids, correlation_id)
                UNION SELECT trace_id FROM parts WHERE trace_id = $trace)
            SELECT list(DISTINCT trace_id) FILTER (trace_id IS NOT NULL), min(start_ns), max(end_ns) FROM parts
            WHERE trace_id IN (FROM traces) OR list_contains($ids, correlation_id)""",
        {"ids": correlation_ids, "trace": trace},
    ).fetchall()
    [(traces, start_ns, end_ns)] = rows
    return traces or [], start_ns, end_ns or 0


_OF_REQUEST: Final = "(list_contains($traces, trace_id) OR list_contains($ids, correlation_id))"


def _spans(connection: duckdb.DuckDBPyConnection, values: dict[str, object]) -> list[Span]:
    rows = connection.execute(
        f"""SELECT {SPAN_COLUMNS} FROM {TABLES["traces"]}
            WHERE start_ns BETWEEN $low AND $high AND {_OF_REQUEST} ORDER BY start_ns, rowid LIMIT $limit""",
        values,
    ).fetchall()
    return list(map(span_of, rows))


def _logs(connection: duckdb.DuckDBPyConnection, values: dict[str, object]) -> list[LogRecord]:
    rows = connection.execute(
        f"""SELECT {LOG_COLUMNS} FROM {TABLES["logs"]}
            WHERE time_ns BETWEEN $low AND $high AND {_OF_REQUEST} ORDER BY time_ns, rowid LIMIT $limit""",
        values,
    ).fetchall()
    return list(map(log_of, rows))


def _request(*, spans: list[Span], logs: list[LogRecord], correlation_id: str | None, truncated: bool) -> Request:
    start_ns = min([span.start_ns for span in spans[:1]] + [log.time_ns for log in logs[:1]])
    end_ns = max([span.end_ns for span in spans] + [log.time_ns for log in logs])
    records: list[Span | LogRecord] = [*spans, *logs]
    return Request(
        correlation_id=correlation_id,
        trace_ids=tuple(dict.fromkeys(record.trace_id for record in records if record.trace_id)),
        services=tuple(dict.fromkeys(record.service for record in records)),
        start_ns=start_ns,
        duration_ns=end_ns - start_ns,
        error=any(record.is_error for record in records),
        spans=tuple(spans),
        logs=tuple(logs),
        truncated=truncated,
    )


def _trace_bytes(id: str) -> bytes | None:
    """A trace's ID; one of 64 bits, as Zipkin and its reporters write it, is kept with zeroes before it."""
    digits = id.strip().lower()
    return bytes.fromhex(digits.zfill(32)) if _TRACE_ID.fullmatch(digits) else None
