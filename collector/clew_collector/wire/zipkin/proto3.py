"""Zipkin v2 spans in protobuf: `zipkin.proto3.ListOfSpans` (https://github.com/openzipkin/zipkin-api).

The messages are described here instead of generated: generated code asks for the protobuf release that made it, or a
newer one, and would bind everybody who installs the collector. Enums and maps are described as what they are on the
wire, numbers and lists of entries.
"""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, Final

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from clew_collector.errors import BadPayload
from clew_collector.wire.zipkin.json_fields import SPAN_ID_BYTES, TRACE_ID_BYTES
from clew_collector.wire.zipkin.model import Annotation, Endpoint, ZipkinKind, ZipkinSpan

_PACKAGE: Final = "zipkin.proto3"
_TEXT: Final = FieldDescriptorProto.TYPE_STRING
_BYTES: Final = FieldDescriptorProto.TYPE_BYTES
_INT: Final = FieldDescriptorProto.TYPE_INT32
_UINT: Final = FieldDescriptorProto.TYPE_UINT64
_FIXED: Final = FieldDescriptorProto.TYPE_FIXED64
_FLAG: Final = FieldDescriptorProto.TYPE_BOOL

# Number, name and type of each field; a type in text is a message, one in a list is repeated.
_MESSAGES: Final[Mapping[str, tuple[tuple[int, str, Any], ...]]] = {
    "Endpoint": ((1, "service_name", _TEXT), (2, "ipv4", _BYTES), (3, "ipv6", _BYTES), (4, "port", _INT)),
    "Annotation": ((1, "timestamp", _FIXED), (2, "value", _TEXT)),
    "Tag": ((1, "key", _TEXT), (2, "value", _TEXT)),
    "Span": (
        (1, "trace_id", _BYTES),
        (2, "parent_id", _BYTES),
        (3, "id", _BYTES),
        (4, "kind", _INT),
        (5, "name", _TEXT),
        (6, "timestamp", _FIXED),
        (7, "duration", _UINT),
        (8, "local_endpoint", "Endpoint"),
        (9, "remote_endpoint", "Endpoint"),
        (10, "annotations", ["Annotation"]),
        (11, "tags", ["Tag"]),
        (12, "debug", _FLAG),
        (13, "shared", _FLAG),
    ),
    "ListOfSpans": ((1, "spans", ["Span"]),),
}
_KINDS: Final[tuple[ZipkinKind, ...]] = ("", "client", "server", "producer", "consumer")
_MAX_PORT: Final = 65_535


def decode_proto3(body: bytes) -> list[ZipkinSpan]:
    """The spans of a `ListOfSpans`. Raises `BadPayload` if the bytes are none or a span has no ID."""
    try:
        spans: Any = ListOfSpans.FromString(body)
    except DecodeError as error:
        raise BadPayload(f"not a zipkin.proto3.ListOfSpans: {error}") from error
    return [_span(span, f"[{index}]") for index, span in enumerate(spans.spans)]


def _list_of_spans() -> type[Message]:
    file = FileDescriptorProto(name="clew/zipkin.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        file.message_type.append(DescriptorProto(name=name, field=[_field(*field) for field in fields]))
    # A pool of its own: a host may have generated the same messages.
    pool = DescriptorPool()
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.ListOfSpans"))


def _field(number: int, name: str, type_: Any) -> FieldDescriptorProto:
    field = FieldDescriptorProto(name=name, number=number, label=FieldDescriptorProto.LABEL_OPTIONAL)
    if isinstance(type_, list):
        field.label = FieldDescriptorProto.LABEL_REPEATED
        [type_] = type_
    if isinstance(type_, str):
        field.type = FieldDescriptorProto.TYPE_MESSAGE
        field.type_name = f".{_PACKAGE}.{type_}"
    else:
        field.type = type_
    return field


ListOfSpans: Final = _list_of_spans()
"""The message that a reporter posts."""


def _span(span: Any, where: str) -> ZipkinSpan:
    span_id = _needed_id(span.id, SPAN_ID_BYTES, f"{where}.id")
    parent_id = _id(span.parent_id, SPAN_ID_BYTES, f"{where}.parent_id")
    return ZipkinSpan(
        trace_id=_needed_id(span.trace_id, TRACE_ID_BYTES, f"{where}.trace_id"),
        span_id=span_id,
        parent_id=b"" if parent_id == span_id else parent_id,
        name=span.name,
        kind=_KINDS[span.kind] if 0 <= span.kind < len(_KINDS) else "",
        start_us=span.timestamp,
        duration_us=span.duration,
        local=_endpoint(span.local_endpoint),
        remote=_endpoint(span.remote_endpoint),
        annotations=tuple(Annotation(time_us=note.timestamp, text=note.value) for note in span.annotations),
        tags={tag.key: tag.value for tag in span.tags},
        shared=span.shared,
    )


def _needed_id(value: bytes, size: int, where: str) -> bytes:
    found = _id(value, size, where)
    if not found:
        raise BadPayload(f"{where} must be 1 to {size} bytes, not all of them 0")
    return found


def _id(value: bytes, size: int, where: str) -> bytes:
    if len(value) > size:
        raise BadPayload(f"{where} must be at most {size} bytes, got {len(value)}")
    return value.rjust(size, b"\0") if any(value) else b""


def _endpoint(endpoint: Any) -> Endpoint | None:
    address = _address(endpoint.ipv4, 4) or _address(endpoint.ipv6, 16)
    port = endpoint.port if 0 < endpoint.port <= _MAX_PORT else 0
    if not (endpoint.service_name or address or port):
        return None
    return Endpoint(service=endpoint.service_name, address=address, port=port)


def _address(packed: bytes, size: int) -> str:
    return str(ip_address(packed)) if len(packed) == size else ""
