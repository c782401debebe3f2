"""Zipkin spans as an OTLP export request.

The mapping of https://opentelemetry.io/docs/specs/otel/trace/sdk_exporters/zipkin/ the other way round, so that what
an OpenTelemetry SDK exported as Zipkin comes back as it was, as far as Zipkin can say it.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span, Status

from clew.fields import SERVICE_NAME
from clew_collector.model import SHARED_SPAN_ID, Value
from clew_collector.wire.zipkin.model import Annotation, ZipkinKind, ZipkinSpan
from clew_collector.wire.zipkin.shared_ids import separate

_KINDS: Final[dict[ZipkinKind, Span.SpanKind.ValueType]] = {
    "": Span.SPAN_KIND_INTERNAL,
    "client": Span.SPAN_KIND_CLIENT,
    "server": Span.SPAN_KIND_SERVER,
    "producer": Span.SPAN_KIND_PRODUCER,
    "consumer": Span.SPAN_KIND_CONSUMER,
}
_PEER_SERVICE: Final = "peer.service"
_ERROR: Final = "error"
_STATUS_CODE: Final = "otel.status_code"
_STATUS_DESCRIPTION: Final = "otel.status_description"
_SCOPE_NAMES: Final = ("otel.scope.name", "otel.library.name")
_SCOPE_VERSIONS: Final = ("otel.scope.version", "otel.library.version")
_STATUSES: Final = {"OK": Status.STATUS_CODE_OK, "ERROR": Status.STATUS_CODE_ERROR}
_MAX_NS: Final = 2**64 - 1


def encode_export_request(spans: Iterable[ZipkinSpan], *, now_ns: int) -> ExportTraceServiceRequest:
    """The spans grouped by service and scope, in the order in which these first come.

    `now_ns` is the start of a span that names no moment at all. A span without duration has no end.
    """
    request = ExportTraceServiceRequest()
    resources: dict[str, Any] = {}
    scopes: dict[tuple[str, str, str], ScopeSpans] = {}
    for span in separate(list(spans)):
        tags = dict(span.tags)
        scope = (_taken(tags, _SCOPE_NAMES), _taken(tags, _SCOPE_VERSIONS))
        group = scopes.get((span.service, *scope))
        if group is None:
            resource_spans = resources.get(span.service)
            if resource_spans is None:
                resource_spans = resources[span.service] = request.resource_spans.add()
                if span.service:
                    resource_spans.resource.attributes.append(_key_value(SERVICE_NAME, span.service))
            group = scopes[(span.service, *scope)] = resource_spans.scope_spans.add()
            group.scope.name, group.scope.version = scope
        _fill(group.spans.add(), span, tags, now_ns=now_ns)
    return request


def _fill(target: Span, span: ZipkinSpan, tags: dict[str, Value], *, now_ns: int) -> None:
    target.trace_id, target.span_id, target.parent_span_id = span.trace_id, span.span_id, span.parent_id
    target.name = span.name
    target.kind = _KINDS[span.kind]
    start_ns = _start_ns(span, now_ns=now_ns)
    target.start_time_unix_nano = start_ns
    if span.duration_us:
        target.end_time_unix_nano = min(start_ns + span.duration_us * 1000, _MAX_NS)
    _set_status(target, tags)
    for name, value in _added_attributes(span):
        tags.setdefault(name, value)
    target.attributes.extend(_key_value(name, value) for name, value in tags.items())
    for annotation in span.annotations:
        _add_event(target, annotation, start_ns=start_ns)


def _start_ns(span: ZipkinSpan, *, now_ns: int) -> int:
    noted_us = (annotation.time_us for annotation in span.annotations if annotation.time_us)
    start_us = span.start_us or min(noted_us, default=0)
    return min(start_us * 1000, _MAX_NS) or now_ns


def _set_status(target: Span, tags: dict[str, Value]) -> None:
    """By OpenTelemetry's tag, else by `error`, which in Zipkin means failure whatever it says, but for `false`."""
    code = _STATUSES.get(str(tags.get(_STATUS_CODE)).upper())
    if code is not None:
        del tags[_STATUS_CODE]
    elif _ERROR in tags and str(tags[_ERROR]).lower() != "false":
        code = Status.STATUS_CODE_ERROR
    if code is None:
        return
    target.status.code = code
    if code == Status.STATUS_CODE_ERROR:
        told = [str(tags.pop(name)) for name in (_ERROR, _STATUS_DESCRIPTION) if name in tags]
        target.status.message = next((text for text in told if text and text.lower() != "true"), "")


def _added_attributes(span: ZipkinSpan) -> Iterable[tuple[str, Value]]:
    if span.remote and span.remote.service:
        yield _PEER_SERVICE, span.remote.service
    for side, endpoint in (("peer", span.remote), ("local", span.local)):
        if endpoint and endpoint.address:
            yield f"network.{side}.address", endpoint.address
        if endpoint and endpoint.port:
            yield f"network.{side}.port", endpoint.port
    if span.shared_span_id:
        yield SHARED_SPAN_ID, span.shared_span_id.hex()


def _add_event(target: Span, annotation: Annotation, *, start_ns: int) -> None:
    event = target.events.add()
    event.time_unix_nano = min(annotation.time_us * 1000, _MAX_NS) or start_ns
    name, attributes = _named(annotation.text)
    event.name = name
    event.attributes.extend(_key_value(key, value) for key, value in attributes.items())


def _named(text: str) -> tuple[str, Mapping[str, Value]]:
    """Name and attributes of an event.

    OpenTelemetry's exporters write an event with attributes as `"name": {"key": "value"}`, some with braces around.
    """
    if not text.startswith(('"', '{"')):
        return text, {}
    try:
        document = orjson.loads(text if text.startswith("{") else f"{{{text}}}")
    except orjson.JSONDecodeError:
        return text, {}
    attributes = next(iter(document.values()), None)
    if len(document) != 1 or not isinstance(attributes, dict):
        return text, {}
    try:
        return next(iter(document)), {
            key: value if isinstance(value, str | bool) else orjson.dumps(value).decode()
            for key, value in attributes.items()
        }
    except orjson.JSONEncodeError:  # nested so deeply that it can be read, but not written
        return text, {}


def _taken(tags: dict[str, Value], names: Iterable[str]) -> str:
    """The first of these tags that is there; all of them leave the tags."""
    found = [str(tags.pop(name)) for name in names if name in tags]
    return found[0] if found else ""


def _key_value(key: str, value: Value) -> KeyValue:
    return KeyValue(key=key, value=_any_value(value))


def _any_value(value: Value) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    return AnyValue(string_value=str(value))
