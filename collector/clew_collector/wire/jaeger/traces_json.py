"""Traces in Jaeger's JSON (https://github.com/jaegertracing/jaeger, `internal/uimodel`) as an OTLP export request.

The mapping of https://opentelemetry.io/docs/specs/otel/trace/sdk_exporters/jaeger/ the other way round.
"""

from collections.abc import Iterator
from typing import Any, Final

import orjson
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from clew.fields import SERVICE_NAME
from clew_collector.errors import BadPayload
from clew_collector.wire.jaeger.tags import Tags, add_attributes, read_tags
from clew_collector.wire.zipkin.json_fields import SPAN_ID_BYTES, TRACE_ID_BYTES, JsonObject

WARNINGS: Final = "jaeger.warnings"
"""What Jaeger found odd about a span, such as a clock that it has set right."""

_KINDS: Final = {
    "internal": Span.SPAN_KIND_INTERNAL,
    "server": Span.SPAN_KIND_SERVER,
    "client": Span.SPAN_KIND_CLIENT,
    "producer": Span.SPAN_KIND_PRODUCER,
    "consumer": Span.SPAN_KIND_CONSUMER,
}
_STATUSES: Final = {"OK": Status.STATUS_CODE_OK, "ERROR": Status.STATUS_CODE_ERROR}
_MAX_NS: Final = 2**64 - 1


def is_jaeger(document: Any) -> bool:
    """Whether a JSON document is Jaeger's: an answer of its API, a trace, or a span by itself."""
    if not isinstance(document, dict):
        return False
    if "traceID" in document:
        return "spans" in document or "operationName" in document
    data = document.get("data")
    traces = data if isinstance(data, list) else [data]
    return bool(traces) and all(isinstance(trace, dict) and "spans" in trace for trace in traces)


def decode_traces(document: Any) -> ExportTraceServiceRequest:
    """The spans of a document, grouped by process and scope. Raises `BadPayload` naming the span and the field."""
    request = _Request()
    for trace in _traces(document):
        processes = JsonObject(trace.form.get("processes") or {}, f"{trace.where}.processes")
        for span in trace.objects("spans"):
            request.add(span, _process(span, processes), trace_id=trace.id("traceID", TRACE_ID_BYTES))
    return request.message


def _traces(document: Any) -> Iterator[JsonObject]:
    whole = JsonObject(document, "document")
    if "operationName" in whole.form:
        yield JsonObject({"spans": [document]}, "document")
    elif "data" not in whole.form:
        yield whole
    elif isinstance(whole.form["data"], list):
        yield from whole.objects("data")
    else:
        yield JsonObject(whole.form["data"], "document.data")


def _process(span: JsonObject, processes: JsonObject) -> JsonObject:
    """The process of a span: that which it names, or one that is written into it, as in Jaeger's own storage."""
    found = processes.form.get(span.text("processID"), span.form.get("process"))
    return JsonObject({} if found is None else found, f"{span.where}.process")


class _Request:
    """A request in the making."""

    def __init__(self) -> None:
        self.message = ExportTraceServiceRequest()
        self._resources: dict[bytes, ResourceSpans] = {}
        self._scopes: dict[tuple[bytes, str, str], ScopeSpans] = {}

    def add(self, form: JsonObject, process: JsonObject, *, trace_id: bytes) -> None:
        tags = read_tags(form, "tags")
        scope = self._scope(process, *_scope_of(tags))
        _fill(scope.spans.add(), form, tags, trace_id=trace_id)

    def _scope(self, process: JsonObject, name: str, version: str) -> ScopeSpans:
        try:
            key = orjson.dumps(process.form, option=orjson.OPT_SORT_KEYS)
        except orjson.JSONEncodeError as error:
            raise BadPayload(f"{process.where} is nested too deeply") from error
        scope = self._scopes.get((key, name, version))
        if scope is None:
            scope = self._scopes[key, name, version] = self._resource(key, process).scope_spans.add()
            scope.scope.name, scope.scope.version = name, version
        return scope

    def _resource(self, key: bytes, process: JsonObject) -> ResourceSpans:
        group = self._resources.get(key)
        if group is None:
            group = self._resources[key] = self.message.resource_spans.add()
            service = process.text("serviceName")
            named = {SERVICE_NAME: service} if service else {}
            add_attributes(group.resource.attributes, {**read_tags(process, "tags"), **named})
        return group


def _scope_of(tags: Tags) -> tuple[str, str]:
    names = [str(tags.pop(name)) for name in ("otel.scope.name", "otel.library.name") if name in tags]
    versions = [str(tags.pop(name)) for name in ("otel.scope.version", "otel.library.version") if name in tags]
    return next(iter(names), ""), next(iter(versions), "")


def _fill(span: Span, form: JsonObject, tags: Tags, *, trace_id: bytes) -> None:
    span.trace_id = form.id("traceID", TRACE_ID_BYTES) or trace_id
    if not span.trace_id:
        raise BadPayload(f"{form.where}.traceID is missing")
    span.span_id = form.needed_id("spanID", SPAN_ID_BYTES)
    span.name = form.text("operationName")
    span.start_time_unix_nano = _ns(form.number("startTime"))
    span.end_time_unix_nano = _ns(form.number("startTime") + form.number("duration"))
    span.kind = _KINDS.get(str(tags.get("span.kind")).lower(), Span.SPAN_KIND_UNSPECIFIED)
    if span.kind != Span.SPAN_KIND_UNSPECIFIED:
        del tags["span.kind"]
    span.trace_state = str(tags.pop("w3c.tracestate", ""))
    _set_status(span, tags)
    _set_references(span, form)
    warnings = form.form.get("warnings")
    if isinstance(warnings, list) and (texts := [text for text in warnings if isinstance(text, str)]):
        tags[WARNINGS] = texts  # type: ignore[assignment]
    add_attributes(span.attributes, tags)
    for log in form.objects("logs"):
        _add_event(span, log)


def _set_status(span: Span, tags: Tags) -> None:
    """`error` says that a span failed; else OpenTelemetry's tag says how it ended."""
    code = _STATUSES.get(str(tags.get("otel.status_code")).upper())
    if str(tags.get("error")).lower() == "true":
        code = Status.STATUS_CODE_ERROR
        del tags["error"]
    if code is not None:
        span.status.code = code
        span.status.message = str(tags.pop("otel.status_description", ""))
        tags.pop("otel.status_code", None)


def _set_references(span: Span, form: JsonObject) -> None:
    """The parent is the first span of the trace that this one is a child of, else the first that it follows.

    What else it refers to are links.
    """
    references = form.objects("references")
    kin = [each for each in references if each.id("traceID", TRACE_ID_BYTES) in (b"", span.trace_id)]
    children = [each for each in kin if each.text("refType") == "CHILD_OF"]
    parent = next(iter(children or kin), None)
    span.parent_span_id = parent.id("spanID", SPAN_ID_BYTES) if parent else form.id("parentSpanID", SPAN_ID_BYTES)
    for reference in references:
        if reference is parent and children:
            continue
        link = span.links.add(
            trace_id=reference.id("traceID", TRACE_ID_BYTES) or span.trace_id,
            span_id=reference.id("spanID", SPAN_ID_BYTES),
        )
        add_attributes(link.attributes, {"opentracing.ref_type": reference.text("refType").lower()})


def _add_event(span: Span, log: JsonObject) -> None:
    fields = read_tags(log, "fields")
    event = span.events.add(time_unix_nano=_ns(log.number("timestamp")), name=str(fields.pop("event", "")))
    add_attributes(event.attributes, fields)


def _ns(time_us: int) -> int:
    return min(time_us * 1000, _MAX_NS)
