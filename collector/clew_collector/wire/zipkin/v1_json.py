"""Zipkin v1 spans in JSON, as `POST /api/v1/spans` takes them.

In v1 a span has no kind and no tags: annotations such as `cs` (client sent) say when a side began and ended, binary
annotations hold what v2 calls tags, and also the addresses of the other side.
"""

from typing import Any, Final

from clew_collector.errors import BadPayload
from clew_collector.wire.zipkin.json_fields import SPAN_ID_BYTES, TRACE_ID_BYTES, JsonObject, read_spans
from clew_collector.wire.zipkin.model import ZipkinSpan
from clew_collector.wire.zipkin.v1_split import V1Annotation, V1BinaryAnnotation, V1Span, split

_V2_FIELDS: Final = ("localEndpoint", "remoteEndpoint", "tags", "kind", "shared")


def decode_v1_json(body: bytes) -> list[ZipkinSpan]:
    """The spans of a JSON list, each side of a call as a span. Raises `BadPayload` naming the span and the field."""
    return [span for form in read_spans(body) for span in split(_span(form))]


def _span(form: JsonObject) -> V1Span:
    if any(name in form.form for name in _V2_FIELDS):
        raise BadPayload(f"{form.where} is a span of Zipkin's v2 format, which goes to /api/v2/spans")
    span_id = form.needed_id("id", SPAN_ID_BYTES)
    parent_id = form.id("parentId", SPAN_ID_BYTES)
    # In Zipkin's order: what comes first says which side the span's own times belong to.
    annotations = sorted(map(_annotation, form.objects("annotations")), key=lambda note: (note.time_us, note.text))
    binary_annotations = sorted(map(_binary_annotation, form.objects("binaryAnnotations")), key=lambda tag: tag.key)
    return V1Span(
        trace_id=_trace_id(form),
        span_id=span_id,
        parent_id=b"" if parent_id == span_id else parent_id,
        name=form.text("name"),
        start_us=form.number("timestamp"),
        duration_us=form.number("duration"),
        annotations=tuple(annotations),
        binary_annotations=tuple(binary_annotations),
    )


def _trace_id(form: JsonObject) -> bytes:
    low = form.needed_id("traceId", TRACE_ID_BYTES)
    # Some reporters give the upper half in a field of its own.
    high = form.id("traceIdHigh", SPAN_ID_BYTES)
    return high + low[SPAN_ID_BYTES:] if high else low


def _annotation(form: JsonObject) -> V1Annotation:
    return V1Annotation(
        time_us=form.number("timestamp"), text=form.needed_text("value"), endpoint=form.endpoint("endpoint")
    )


def _binary_annotation(form: JsonObject) -> V1BinaryAnnotation:
    key = form.needed_text("key")
    endpoint = form.endpoint("endpoint")
    value: Any = form.form.get("value")
    if value is None:
        raise BadPayload(f"{form.where}.value is missing")
    if value is True and key in ("ca", "sa", "ma"):
        return V1BinaryAnnotation(key=key, text=None, endpoint=endpoint)
    if isinstance(value, bool):
        return V1BinaryAnnotation(key=key, text="true" if value else "false", endpoint=endpoint)
    if isinstance(value, str | int | float):
        return V1BinaryAnnotation(key=key, text=str(value), endpoint=endpoint)
    raise form.wrong("value", "text", value)
