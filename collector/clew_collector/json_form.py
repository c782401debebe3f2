"""Records as JSON and back: the answers of the dashboard's JSON twins.

Bytes are `{"base64": "..."}`; NaN and the infinities, which JSON lacks, are `{"double": "NaN"}` and so on. A map of
the sender's own that looks like one of these two is not told apart.
"""

import base64
import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, cast

from clew_collector.model import (
    Attributes,
    LogRecord,
    Page,
    Request,
    RequestSummary,
    Span,
    SpanEvent,
    SpanKind,
    SpanLink,
    SpanStatus,
    Value,
)

Json = dict[str, Any]

_SUMMARY_FIELDS = tuple(field.name for field in fields(cast(Any, RequestSummary)))


def request_to_json(request: Request) -> Json:
    """A whole request; times in nanoseconds."""
    return {
        "correlation_id": request.correlation_id,
        "trace_ids": list(request.trace_ids),
        "services": list(request.services),
        "start_ns": request.start_ns,
        "duration_ns": request.duration_ns,
        "error": request.error,
        "truncated": request.truncated,
        "spans": [span_to_json(span) for span in request.spans],
        "logs": [log_to_json(log) for log in request.logs],
    }


def request_from_json(form: Mapping[str, Any]) -> Request:
    """The request that `request_to_json` wrote."""
    return Request(
        correlation_id=form["correlation_id"],
        trace_ids=tuple(form["trace_ids"]),
        services=tuple(form["services"]),
        start_ns=form["start_ns"],
        duration_ns=form["duration_ns"],
        error=form["error"],
        spans=tuple(span_from_json(span) for span in form["spans"]),
        logs=tuple(log_from_json(log) for log in form["logs"]),
        truncated=form.get("truncated", False),
    )


def span_to_json(span: Span) -> Json:
    """One span."""
    return {
        "trace_id": span.trace_id,
        "span_id": span.span_id,
        "parent_span_id": span.parent_span_id,
        "correlation_id": span.correlation_id,
        "service": span.service,
        "name": span.name,
        "kind": span.kind,
        "start_ns": span.start_ns,
        "duration_ns": span.duration_ns,
        "status": span.status,
        "status_message": span.status_message,
        "attributes": _attributes_to_json(span.attributes),
        "resource": _attributes_to_json(span.resource),
        "events": [
            {
                "time_ns": event.time_ns,
                "name": event.name,
                "attributes": _attributes_to_json(event.attributes),
            }
            for event in span.events
        ],
        "links": [
            {
                "trace_id": link.trace_id,
                "span_id": link.span_id,
                "attributes": _attributes_to_json(link.attributes),
            }
            for link in span.links
        ],
        "scope": span.scope,
    }


def span_from_json(form: Mapping[str, Any]) -> Span:
    """The span that `span_to_json` wrote."""
    return Span(
        trace_id=form["trace_id"],
        span_id=form["span_id"],
        parent_span_id=form["parent_span_id"],
        correlation_id=form["correlation_id"],
        service=form["service"],
        name=form["name"],
        kind=cast(SpanKind, form["kind"]),
        start_ns=form["start_ns"],
        duration_ns=form["duration_ns"],
        status=cast(SpanStatus, form["status"]),
        status_message=form["status_message"],
        attributes=_attributes_from_json(form["attributes"]),
        resource=_attributes_from_json(form["resource"]),
        events=tuple(
            SpanEvent(
                time_ns=event["time_ns"],
                name=event["name"],
                attributes=_attributes_from_json(event["attributes"]),
            )
            for event in form["events"]
        ),
        links=tuple(
            SpanLink(
                trace_id=link["trace_id"],
                span_id=link["span_id"],
                attributes=_attributes_from_json(link["attributes"]),
            )
            for link in form["links"]
        ),
        scope=form["scope"],
    )


def log_to_json(log: LogRecord) -> Json:
    """One log record."""
    return {
        "time_ns": log.time_ns,
        "severity_number": log.severity_number,
        "severity_text": log.severity_text,
        "service": log.service,
        "body": value_to_json(log.body),
        "trace_id": log.trace_id,
        "span_id": log.span_id,
        "correlation_id": log.correlation_id,
        "attributes": _attributes_to_json(log.attributes),
        "resource": _attributes_to_json(log.resource),
        "scope": log.scope,
    }


def log_from_json(form: Mapping[str, Any]) -> LogRecord:
    """The log record that `log_to_json` wrote."""
    return LogRecord(
        time_ns=form["time_ns"],
        severity_number=form["severity_number"],
        severity_text=form["severity_text"],
        service=form["service"],
        body=value_from_json(form["body"]),
        trace_id=form["trace_id"],
        span_id=form["span_id"],
        correlation_id=form["correlation_id"],
        attributes=_attributes_from_json(form["attributes"]),
        resource=_attributes_from_json(form["resource"]),
        scope=form["scope"],
    )


def summary_to_json(summary: RequestSummary) -> Json:
    """One line of the list of requests."""
    form = {name: getattr(summary, name) for name in _SUMMARY_FIELDS}
    return form | {"services": list(summary.services)}


def summary_from_json(form: Mapping[str, Any]) -> RequestSummary:
    """The line that `summary_to_json` wrote."""
    known = {name: form[name] for name in _SUMMARY_FIELDS}
    return RequestSummary(**known | {"services": tuple(form["services"])})


def page_to_json(page: Page[RequestSummary] | Page[LogRecord]) -> Json:
    """A slice of a list: `{items, next}`."""
    items = [summary_to_json(item) if isinstance(item, RequestSummary) else log_to_json(item) for item in page.items]
    return {"items": items, "next": page.next}


def value_to_json(value: Value) -> Any:
    """An attribute's value; its type can be told from the JSON."""
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, float) and not math.isfinite(value):
        return {"double": "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"}
    if isinstance(value, list):
        return [value_to_json(item) for item in value]
    if isinstance(value, dict):
        return {key: value_to_json(item) for key, item in value.items()}
    return value


def value_from_json(form: Any) -> Value:
    """The value that `value_to_json` wrote."""
    if isinstance(form, list):
        return [value_from_json(item) for item in form]
    if isinstance(form, dict):
        if form.keys() == {"base64"} and isinstance(form["base64"], str):
            return base64.b64decode(form["base64"])
        if form.keys() == {"double"}:
            return float(form["double"])
        return {key: value_from_json(item) for key, item in form.items()}
    return cast(Value, form)


def _attributes_to_json(attributes: Attributes) -> Json:
    return {key: value_to_json(value) for key, value in attributes.items()}


def _attributes_from_json(form: Mapping[str, Any]) -> dict[str, Value]:
    return {key: value_from_json(value) for key, value in form.items()}
