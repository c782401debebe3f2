"""Zipkin v2 spans in JSON, as `POST /api/v2/spans` takes them (https://zipkin.io/zipkin-api/#/default/post_spans)."""

from typing import Any, Final, cast

from clew_collector.errors import BadPayload
from clew_collector.model import Value
from clew_collector.wire.zipkin.json_fields import SPAN_ID_BYTES, TRACE_ID_BYTES, JsonObject, read_spans
from clew_collector.wire.zipkin.model import Annotation, ZipkinKind, ZipkinSpan

_KINDS: Final = ("client", "server", "producer", "consumer")
_INT64: Final = range(-(2**63), 2**63)


def decode_v2_json(body: bytes) -> list[ZipkinSpan]:
    """The spans of a JSON list. Raises `BadPayload` naming the span and the field; then none of them is taken."""
    return [_span(form) for form in read_spans(body)]


def _span(form: JsonObject) -> ZipkinSpan:
    if "binaryAnnotations" in form.form:
        raise BadPayload(f"{form.where} is a span of Zipkin's v1 format, which goes to /api/v1/spans")
    span_id = form.needed_id("id", SPAN_ID_BYTES)
    parent_id = form.id("parentId", SPAN_ID_BYTES)
    return ZipkinSpan(
        trace_id=form.needed_id("traceId", TRACE_ID_BYTES),
        span_id=span_id,
        parent_id=b"" if parent_id == span_id else parent_id,
        name=form.text("name"),
        kind=_kind(form),
        start_us=form.number("timestamp"),
        duration_us=form.number("duration"),
        local=form.endpoint("localEndpoint"),
        remote=form.endpoint("remoteEndpoint"),
        annotations=tuple(_annotation(note) for note in form.objects("annotations")),
        tags=_tags(form),
        shared=form.flag("shared"),
    )


def _kind(form: JsonObject) -> ZipkinKind:
    kind = form.text("kind").lower()
    if kind and kind not in _KINDS:
        raise form.wrong("kind", "CLIENT, SERVER, PRODUCER or CONSUMER", form.form["kind"])
    return cast(ZipkinKind, kind)


def _annotation(form: JsonObject) -> Annotation:
    return Annotation(time_us=form.number("timestamp"), text=form.needed_text("value"))


def _tags(form: JsonObject) -> dict[str, Value]:
    given = form.form.get("tags")
    if given is None:
        return {}
    tags = JsonObject(given, f"{form.where}.tags")
    return {name: _tag(tags, name, value) for name, value in tags.form.items() if value is not None}


def _tag(tags: JsonObject, name: str, value: Any) -> Value:
    # Zipkin's tags are text. Reporters that send numbers and truth values are understood, as they are by Zipkin.
    if isinstance(value, int):
        return value if value in _INT64 else str(value)
    if isinstance(value, str | float):
        return value
    raise tags.wrong(name[:60], "text", value)
