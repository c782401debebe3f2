"""Rows of the embedded store as records."""

from typing import Any, Final

from clew_collector.model import (
    SPAN_KINDS,
    SPAN_STATUSES,
    LogRecord,
    RequestSummary,
    Span,
    SpanEvent,
    SpanLink,
)
from clew_collector.wire.attributes import decode_attributes, decode_value

LOG_COLUMNS: Final = """
    time_ns, severity_number, severity_text, service, body, body_type, trace_id, span_id, correlation_id,
    attribute_keys, attribute_texts, attribute_types, resource_keys, resource_texts, resource_types, scope"""

SPAN_COLUMNS: Final = """
    trace_id, span_id, parent_span_id, correlation_id, service, name, kind, start_ns, end_ns, status, status_message,
    attribute_keys, attribute_texts, attribute_types, resource_keys, resource_texts, resource_types,
    events, links, scope"""

SUMMARY_COLUMNS: Final = """
    id, correlation_id, trace_id, start_ns, root_start_ns, root_end_ns, end_ns, root_service, root_name,
    method, route, path, status_code, services, error_spans, span_count, log_count, error_log_count"""


def log_of(row: tuple[Any, ...]) -> LogRecord:
    """A log record from a row of `LOG_COLUMNS`."""
    (time_ns, severity_number, severity_text, service, body, body_type, trace_id, span_id, correlation_id) = row[:9]
    return LogRecord(
        time_ns=time_ns,
        severity_number=severity_number,
        severity_text=severity_text,
        service=service,
        body=decode_value(body, body_type),
        trace_id=_hex(trace_id),
        span_id=_hex(span_id),
        correlation_id=correlation_id,
        attributes=decode_attributes(*row[9:12]),
        resource=decode_attributes(*row[12:15]),
        scope=row[15] or "",
    )


def span_of(row: tuple[Any, ...]) -> Span:
    """A span from a row of `SPAN_COLUMNS`."""
    (
        trace_id,
        span_id,
        parent_span_id,
        correlation_id,
        service,
        name,
        kind,
        start_ns,
        end_ns,
        status,
        message,
    ) = row[:11]
    return Span(
        trace_id=_hex(trace_id),
        span_id=_hex(span_id),
        parent_span_id=_hex(parent_span_id),
        correlation_id=correlation_id,
        service=service,
        name=name,
        kind=SPAN_KINDS[kind] if kind < len(SPAN_KINDS) else "unspecified",
        start_ns=start_ns,
        duration_ns=None if end_ns is None else max(0, end_ns - start_ns),
        status=SPAN_STATUSES[status] if status < len(SPAN_STATUSES) else "unset",
        status_message=message,
        attributes=decode_attributes(*row[11:14]),
        resource=decode_attributes(*row[14:17]),
        events=tuple(
            SpanEvent(time_ns=event["time_ns"], name=event["name"], attributes=_nested_attributes(event))
            for event in row[17] or ()
        ),
        links=tuple(
            SpanLink(
                trace_id=_hex(link["trace_id"]) or "",
                span_id=_hex(link["span_id"]) or "",
                attributes=_nested_attributes(link),
            )
            for link in row[18] or ()
        ),
        scope=row[19] or "",
    )


def summary_of(row: tuple[Any, ...]) -> RequestSummary:
    """A line of the list of requests from a row of `SUMMARY_COLUMNS`."""
    (request_id, correlation_id, trace_id, start_ns, root_start_ns, root_end_ns, end_ns, service, name) = row[:9]
    (method, route, path, status_code, services, error_spans, span_count, log_count, error_log_count) = row[9:]
    ended_ns = root_end_ns if root_end_ns is not None else end_ns
    return RequestSummary(
        id=request_id,
        correlation_id=correlation_id,
        trace_id=_hex(trace_id),
        start_ns=start_ns,
        duration_ns=max(0, ended_ns - (root_start_ns if root_start_ns is not None else start_ns)),
        service=service or (services[0] if services else ""),
        name=f"{method} {route or path}" if method and (route or path) else name or "log lines only",
        method=method,
        route=route,
        status_code=int(status_code) if status_code and status_code.isdecimal() else None,
        services=tuple(services or ()),
        error=bool(error_spans or error_log_count),
        span_count=span_count,
        log_count=log_count,
        error_log_count=error_log_count,
    )


def _nested_attributes(nested: dict[str, Any]) -> dict[str, Any]:
    return dict(decode_attributes(nested["attribute_keys"], nested["attribute_texts"], nested["attribute_types"]))


def _hex(identifier: bytes | None) -> str | None:
    return None if identifier is None else identifier.hex()
