"""Valid records with everything filled in: a test names only the fields it is about."""

from collections.abc import Iterable, Mapping
from itertools import count

from clew_collector.model import (
    Attributes,
    LogRecord,
    Request,
    RequestSummary,
    Span,
    SpanEvent,
    SpanKind,
    SpanLink,
    SpanStatus,
    Value,
)

START_NS = 1_780_000_000_000_000_000
MS = 1_000_000
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"

_numbers = count(1)


def a_span(
    name: str = "GET /orders",
    *,
    span_id: str | None = "",
    parent: str | None = None,
    service: str = "orders",
    at_ms: float = 0,
    duration_ms: float | None = 10,
    trace_id: str | None = TRACE_ID,
    correlation_id: str | None = None,
    kind: SpanKind = "internal",
    status: SpanStatus = "unset",
    status_message: str = "",
    attributes: Attributes | None = None,
    resource: Attributes | None = None,
    events: Iterable[SpanEvent] = (),
    links: Iterable[SpanLink] = (),
) -> Span:
    return Span(
        trace_id=trace_id,
        span_id=f"{next(_numbers):016x}" if span_id == "" else span_id,
        parent_span_id=parent,
        correlation_id=correlation_id,
        service=service,
        name=name,
        kind=kind,
        start_ns=START_NS + round(at_ms * MS),
        duration_ns=None if duration_ms is None else round(duration_ms * MS),
        status=status,
        status_message=status_message,
        attributes=attributes or {},
        resource=resource or {"service.name": service},
        events=tuple(events),
        links=tuple(links),
        scope="test",
    )


def a_log(
    body: Value = "order placed",
    *,
    span_id: str | None = None,
    service: str = "orders",
    at_ms: float = 1,
    severity: int = 9,
    severity_text: str = "",
    trace_id: str | None = TRACE_ID,
    correlation_id: str | None = None,
    attributes: Attributes | None = None,
) -> LogRecord:
    return LogRecord(
        time_ns=START_NS + round(at_ms * MS),
        severity_number=severity,
        severity_text=severity_text,
        service=service,
        body=body,
        trace_id=trace_id,
        span_id=span_id,
        correlation_id=correlation_id,
        attributes=attributes or {},
        resource={"service.name": service},
        scope="test",
    )


def an_event(name: str = "cache miss", *, at_ms: float = 1, attributes: Attributes | None = None) -> SpanEvent:
    return SpanEvent(time_ns=START_NS + round(at_ms * MS), name=name, attributes=attributes or {})


def an_exception(
    type: str = "ValueError", message: str = "no such cart", *, at_ms: float = 1, stack: str = ""
) -> SpanEvent:
    attributes = {"exception.type": type, "exception.message": message}
    return an_event(
        "exception", at_ms=at_ms, attributes=attributes | ({"exception.stacktrace": stack} if stack else {})
    )


def a_request(
    spans: Iterable[Span] = (), logs: Iterable[LogRecord] = (), *, correlation_id: str | None = None
) -> Request:
    """The request of these records, as a store would hand it out; one span if none are given."""
    kept_logs = tuple(sorted(logs, key=lambda log: log.time_ns))
    kept_spans = tuple(sorted(spans, key=lambda span: span.start_ns)) or (() if kept_logs else (a_span(),))
    moments = [span.start_ns for span in kept_spans] + [log.time_ns for log in kept_logs]
    ends = [span.end_ns for span in kept_spans] + [log.time_ns for log in kept_logs]
    records: list[Span | LogRecord] = [*kept_spans, *kept_logs]
    return Request(
        correlation_id=correlation_id,
        trace_ids=tuple(dict.fromkeys(record.trace_id for record in records if record.trace_id)),
        services=tuple(dict.fromkeys(record.service for record in records)),
        start_ns=min(moments),
        duration_ns=max(ends) - min(moments),
        error=any(record.is_error for record in records),
        spans=kept_spans,
        logs=kept_logs,
    )


def a_summary(**fields: object) -> RequestSummary:
    valid: Mapping[str, object] = {
        "id": "req-1",
        "correlation_id": "req-1",
        "trace_id": TRACE_ID,
        "start_ns": START_NS,
        "duration_ns": 12 * MS,
        "service": "orders",
        "name": "GET /orders",
        "method": "GET",
        "route": "/orders",
        "status_code": 200,
        "services": ("orders",),
        "error": False,
        "span_count": 1,
        "log_count": 0,
        "error_log_count": 0,
    }
    return RequestSummary(**{**valid, **fields})  # type: ignore[arg-type]
