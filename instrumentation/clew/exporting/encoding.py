"""Spans and logs as OTLP requests: https://github.com/open-telemetry/opentelemetry-proto (v1).

Written out by hand because the generated classes take ten times as long; tests hold it against the official encoder.
Field numbers are in the tags: `b"\\x0a"` is field 1 with a length, `b"\\x12"` field 2, and so on.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from struct import Struct
from typing import Final

from opentelemetry.trace import SpanContext

from clew import fields
from clew.exporting.protobuf import (
    attributes,
    body_field,
    fixed32,
    fixed64,
    follow_settings,
    key_value,
    message,
    remembered,
    text,
    varint,
)
from clew.freezing import Frozen
from clew.logs.record import LogRecord
from clew.redaction import Redactor
from clew.spans import AlikeAttributes, LightSpan, Scope, SpanEvent, SpanLink

_times: Final = Struct("<cQcQ").pack
_HAS_IS_REMOTE: Final = 0x100
_IS_REMOTE: Final = 0x200


def encode_resource(values: Mapping[str, Frozen]) -> bytes:
    """The field `resource` of a request."""
    follow_settings()
    return message(b"\x0a", attributes(b"\x0a", values))


def encode_request(resource: bytes, records: Iterable[tuple[Scope, bytes]]) -> bytes:
    """An export request, of spans or of logs: encoded records under their scopes under one resource."""
    by_scope: dict[tuple[str, str, str], list[bytes]] = {}
    last: Scope | None = None
    same: list[bytes] = []
    for scope, encoded in records:
        if scope is not last:
            last, same = scope, by_scope.setdefault((scope.name, scope.version, scope.schema_url), [])
        same.append(encoded)
    body = resource + b"".join([_encode_scope(*scope, encoded) for scope, encoded in by_scope.items()])
    return message(b"\x0a", body)


def encode_span(span: LightSpan) -> bytes:
    """The field `spans` of a scope, without secrets."""
    redactor = follow_settings()
    parts = [b"\x0a\x10", span.trace_id.to_bytes(16, "big"), b"\x12\x08", span.span_id.to_bytes(8, "big")]
    if span.trace_state:
        parts.append(text(b"\x1a", span.trace_state))
    if span.parent_id:
        parts.append(b"\x22\x08" + span.parent_id.to_bytes(8, "big"))
    end_ns = span.start_ns if span.end_ns is None else span.end_ns
    parts += (_name_and_kind(span.name, span.kind), _times(b"\x39", span.start_ns, b"\x41", end_ns))
    own = span.attributes
    if span.describe is not None:
        parts += _encode_described(*span.describe(span), own=own)
    if own:
        parts += [key_value(b"\x4a", key, value) for key, value in own.items()]
    if span.correlation_id is not None and fields.CORRELATION_ID not in own:
        parts.append(_correlation(b"\x4a", span.correlation_id))
    if span.dropped_attributes:
        parts.append(b"\x50" + varint(span.dropped_attributes))
    if span.events:
        parts += [_encode_event(event) for event in span.events]
    if span.dropped_events:
        parts.append(b"\x60" + varint(span.dropped_events))
    if span.links:
        parts += [_encode_link(link) for link in span.links]
    if span.dropped_links:
        parts.append(b"\x70" + varint(span.dropped_links))
    parts.append(_encode_status(span, redactor) if span.status else b"\x7a\x00")
    parts.append(_flags_field(span.trace_flags, span.is_parent_remote))
    return message(b"\x12", b"".join(parts))


def encode_log(log: LogRecord) -> bytes:
    """The field `log_records` of a scope, without secrets."""
    follow_settings()
    parts = [b"\x09", fixed64(log.time_ns), _severity(log.severity_number, log.severity_text), body_field(log.body)]
    parts += [key_value(b"\x32", key, value) for key, value in log.attributes.items()]
    trace_id, span_id, trace_flags, correlation_id = log.ids
    if correlation_id is not None and fields.CORRELATION_ID not in log.attributes:
        parts.append(_correlation(b"\x32", correlation_id))
    if trace_id:
        parts += (b"\x45", fixed32(trace_flags & 0xFF), b"\x4a\x10", trace_id.to_bytes(16, "big"))
        parts += (b"\x52\x08", span_id.to_bytes(8, "big"))
    parts += (b"\x59", fixed64(log.observed_ns))
    return message(b"\x12", b"".join(parts))


@lru_cache(maxsize=1_024)
def _name_and_kind(name: str, kind: int) -> bytes:
    return text(b"\x2a", name) + b"\x30" + varint(kind)


@lru_cache(maxsize=64)
def _flags_field(trace_flags: int, is_remote: bool) -> bytes:
    return b"\x85\x01" + fixed32(_flags(trace_flags, is_remote=is_remote))


@lru_cache(maxsize=256)
def _severity(number: int, name: str) -> bytes:
    return b"\x10" + varint(number) + text(b"\x1a", name)


def _encode_scope(name: str, version: str, schema_url: str, records: list[bytes]) -> bytes:
    scope = (text(b"\x0a", name) if name else b"") + (text(b"\x12", version) if version else b"")
    tail = text(b"\x1a", schema_url) if schema_url else b""
    return message(b"\x12", message(b"\x0a", scope) + b"".join(records) + tail)


def _encode_described(
    alike: AlikeAttributes, other: list[tuple[str, Frozen]], *, own: Mapping[str, Frozen]
) -> list[bytes]:
    """The attributes that were made out of a span's details, but for those that the service set by itself."""
    if own and not own.keys().isdisjoint(alike.values):
        return [key_value(b"\x4a", key, value) for key, value in (*alike.values.items(), *other) if key not in own]
    encoded = [remembered(alike, _encode_alike)]
    for key, value in other:
        if key not in own:
            encoded.append(key_value(b"\x4a", key, value))
    return encoded


def _encode_alike(alike: AlikeAttributes) -> bytes:
    return attributes(b"\x4a", alike.values)


def _encode_event(event: SpanEvent) -> bytes:
    name, time_ns, values = event
    return message(b"\x5a", b"\x09" + fixed64(time_ns) + text(b"\x12", name) + attributes(b"\x1a", values))


def _encode_link(link: SpanLink) -> bytes:
    context, values = link
    body = b"\x0a\x10" + context.trace_id.to_bytes(16, "big") + b"\x12\x08" + context.span_id.to_bytes(8, "big")
    if context.trace_state:
        body += text(b"\x1a", context.trace_state.to_header())
    return message(b"\x6a", body + attributes(b"\x22", values) + b"\x35" + fixed32(_link_flags(context)))


def _link_flags(context: SpanContext) -> int:
    return _flags(int(context.trace_flags), is_remote=context.is_remote)


def _encode_status(span: LightSpan, redactor: Redactor) -> bytes:
    description = text(b"\x12", redactor.text(span.status_description)) if span.status_description else b""
    return message(b"\x7a", description + b"\x18" + varint(span.status))


def _flags(trace_flags: int, *, is_remote: bool) -> int:
    return trace_flags & 0xFF | _HAS_IS_REMOTE | (_IS_REMOTE if is_remote else 0)


def _correlation(tag: bytes, correlation_id: str) -> bytes:
    # Not through the cache of attributes: it would be full of IDs that never come again. The lines of a request follow
    # each other, so the last one is worth remembering.
    known, field = _LAST_CORRELATION.get(tag, _NO_CORRELATION)
    if known != correlation_id:
        encoded = correlation_id.encode("utf-8", "replace")
        field = _before_correlation(tag, len(encoded)) + encoded
        _LAST_CORRELATION[tag] = correlation_id, field
    return field


@lru_cache(maxsize=256)
def _before_correlation(tag: bytes, size: int) -> bytes:
    """The field up to the ID itself, for an ID of so many bytes: nearly all have the same length."""
    value = b"\x0a" + varint(size)
    before = text(b"\x0a", fields.CORRELATION_ID) + b"\x12" + varint(len(value) + size) + value
    return tag + varint(len(before) + size) + before


_NO_CORRELATION: Final = "", b""
_LAST_CORRELATION: Final[dict[bytes, tuple[str, bytes]]] = {}
