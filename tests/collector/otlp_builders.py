"""Valid OTLP records; a test names only the fields it is about."""

from collections.abc import Mapping
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from clew_collector.model import Value

T0_NS = 1_790_000_000_000_000_000
TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"


def any_value(value: Value) -> AnyValue:
    """A value as OTLP has it."""
    match value:
        case None:
            return AnyValue()
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case str():
            return AnyValue(string_value=value)
        case bytes():
            return AnyValue(bytes_value=value)
        case list():
            return AnyValue(array_value=ArrayValue(values=map(any_value, value)))
        case dict():
            return AnyValue(kvlist_value=KeyValueList(values=attributes(value)))


def attributes(values: Mapping[str, Value]) -> list[KeyValue]:
    """Attributes as OTLP has them."""
    return [KeyValue(key=key, value=any_value(value)) for key, value in values.items()]


def a_span(
    name: str = "GET /stock",
    *,
    trace: str = TRACE,
    span: str = SPAN,
    parent: str = "",
    start_ns: int = T0_NS,
    duration_ns: int = 5_000_000,
    kind: int = Span.SPAN_KIND_SERVER,
    error: str | None = None,
    correlation_id: str | None = None,
    **values: Any,
) -> Span:
    """A span; `error` is its status message if it failed. Attributes may be given with `_` for `.`, or by `more`."""
    more: Mapping[str, Value] = values.pop("more", {})
    with_id = {} if correlation_id is None else {"correlation.id": correlation_id}
    return Span(
        trace_id=bytes.fromhex(trace),
        span_id=bytes.fromhex(span),
        parent_span_id=bytes.fromhex(parent),
        name=name,
        kind=kind,  # type: ignore[arg-type]  # any number may come over the wire
        start_time_unix_nano=start_ns,
        end_time_unix_nano=start_ns + duration_ns,
        status=Status() if error is None else Status(code=Status.STATUS_CODE_ERROR, message=error),
        attributes=attributes({**with_id, **more}),
        **values,
    )


def a_log(
    body: Value = "stock checked",
    *,
    trace: str = TRACE,
    span: str = SPAN,
    time_ns: int = T0_NS + 1_000_000,
    severity: int = 9,
    correlation_id: str | None = None,
    more: Mapping[str, Value] | None = None,
) -> LogRecord:
    """A log record."""
    with_id = {} if correlation_id is None else {"correlation.id": correlation_id}
    return LogRecord(
        time_unix_nano=time_ns,
        observed_time_unix_nano=time_ns,
        severity_number=severity,  # type: ignore[arg-type]  # any number may come over the wire
        severity_text={9: "INFO", 13: "WARN", 17: "ERROR"}.get(severity, ""),
        body=any_value(body),
        trace_id=bytes.fromhex(trace),
        span_id=bytes.fromhex(span),
        attributes=attributes({**with_id, **(more or {})}),
    )


def resource(service: str, **more: Value) -> Resource:
    """A resource with its service's name."""
    return Resource(attributes=attributes({"service.name": service, **more}))


def traces(*spans: Span, service: str = "inventory", scope: str = "tests") -> ExportTraceServiceRequest:
    """An export request with spans of one service."""
    scope_spans = ScopeSpans(spans=spans)
    scope_spans.scope.name = scope
    return ExportTraceServiceRequest(
        resource_spans=[ResourceSpans(resource=resource(service), scope_spans=[scope_spans])]
    )


def logs(*records: LogRecord, service: str = "inventory", scope: str = "tests") -> ExportLogsServiceRequest:
    """An export request with log records of one service."""
    scope_logs = ScopeLogs(log_records=records)
    scope_logs.scope.name = scope
    return ExportLogsServiceRequest(resource_logs=[ResourceLogs(resource=resource(service), scope_logs=[scope_logs])])
