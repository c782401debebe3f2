"""Rows of the stores' columns as OTLP requests again, for what processors have changed and what is sent once more.

One Python step a record, 20 to 30 us: protobuf cannot be written by SQL. What the columns do not hold is not there
any more: versions and attributes of scopes, schema addresses, and how much a sender had left out.
"""

import base64
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import pyarrow as pa
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList

from clew_collector.model import Signal
from clew_collector.wire.attributes import ValueType
from clew_collector.wire.otlp.numbered import LEVELS
from clew_collector.wire.otlp.payload import REQUESTS

_ATTRIBUTES: Final = "attribute_keys, attribute_texts, attribute_types"
_RESOURCE: Final = "resource_keys, resource_texts, resource_types, scope"

RECORD_COLUMNS: Final[dict[Signal, str]] = {
    "logs": f"""{_RESOURCE}, {_ATTRIBUTES}, time_ns, observed_delay_ns,
        severity_number, severity_text, body, body_type, trace_id, span_id, event_name""",
    "traces": f"""{_RESOURCE}, {_ATTRIBUTES}, start_ns, end_ns, name, kind,
        status, status_message, trace_id, span_id, parent_span_id, events, links, trace_state, flags""",
}
"""What `encode_rows` reads, in this order."""

COLUMNS: Final[dict[Signal, str]] = {
    signal: f"payload_id, position, {columns}" for signal, columns in RECORD_COLUMNS.items()
}
"""What `requests_of_rows` reads, in this order."""

Row = tuple[Any, ...]


def encode_rows(signal: Signal, rows: pa.RecordBatch) -> bytes:
    """The request with these rows of `RECORD_COLUMNS`, in their order; the same rows give the same bytes."""
    request = RowsRequest(signal, payload_id=0)
    for position, row in enumerate(zip(*(column.to_pylist() for column in rows.columns), strict=True)):
        request.add((0, position, *row))
    encoded: bytes = request.message.SerializeToString()
    return encoded


def cut_rows(rows: pa.RecordBatch, *, max_records: int, max_bytes: int) -> Iterator[pa.RecordBatch]:
    """The rows in slices of so many records and, in Arrow, bytes at most, or of one record."""
    if rows.num_rows == 1 or (0 < rows.num_rows <= max_records and rows.nbytes <= max_bytes):
        yield rows
    elif rows.num_rows:
        middle = rows.num_rows // 2
        yield from cut_rows(rows.slice(0, middle), max_records=max_records, max_bytes=max_bytes)
        yield from cut_rows(rows.slice(middle), max_records=max_records, max_bytes=max_bytes)


def requests_of_rows(signal: Signal, rows: Iterable[Row]) -> Iterator["RowsRequest"]:
    """The request of each payload, given its rows one behind the other; the same rows give the same bytes."""
    current: RowsRequest | None = None
    for row in rows:
        if current is None or current.payload_id != row[0]:
            if current is not None:
                yield current
            current = RowsRequest(signal, row[0])
        current.add(row)
    if current is not None:
        yield current


class RowsRequest:
    """A request that is put together of rows, in their order; `positions` are those of its records in the payload."""

    def __init__(self, signal: Signal, payload_id: int) -> None:
        self.payload_id = payload_id
        self.positions: list[int] = []
        self.message: Any = REQUESTS[signal]()
        self._groups, self._scopes, self._records = LEVELS[signal]
        self._fill = _fill_log if signal == "logs" else _fill_span
        self._resource: Row | None = None
        self._scope: Row | None = None

    def add(self, row: Row) -> None:
        """Add a record, to the scope of the one before it if that is the same."""
        if self._resource != row[2:5]:
            self._resource, self._scope = row[2:5], None
            self._group = getattr(self.message, self._groups).add()
            self._group.resource.attributes.extend(_attributes(*row[2:5]))
        if self._scope != row[5:6]:
            self._scope = row[5:6]
            self._records_of_scope = self._new_scope(row[5])
        self.positions.append(row[1])
        self._fill(self._records_of_scope.add(), row[6:])

    def _new_scope(self, name: str | None) -> Any:
        scope = getattr(self._group, self._scopes).add()
        if name is not None:
            scope.scope.SetInParent()
            scope.scope.name = name
        return getattr(scope, self._records)


def _fill_log(record: Any, row: Row) -> None:
    record.attributes.extend(_attributes(*row[:3]))
    record.time_unix_nano = row[3]
    if row[4] is not None:
        record.observed_time_unix_nano = row[3] + row[4]
    record.severity_number, record.severity_text = row[5], row[6] or ""
    record.body.CopyFrom(_value(row[7], row[8]))
    record.trace_id, record.span_id = row[9] or b"", row[10] or b""
    record.event_name = row[11] or ""


def _fill_span(span: Any, row: Row) -> None:
    span.attributes.extend(_attributes(*row[:3]))
    span.start_time_unix_nano, span.end_time_unix_nano = row[3], row[4] or 0
    span.name, span.kind = row[5], row[6]
    if row[7] or row[8]:
        span.status.code, span.status.message = row[7], row[8]
    span.trace_id, span.span_id, span.parent_span_id = (id or b"" for id in row[9:12])
    for event in row[12] or ():
        added = span.events.add(time_unix_nano=event["time_ns"], name=event["name"])
        added.attributes.extend(_nested_attributes(event))
    for link in row[13] or ():
        added = span.links.add(trace_id=link["trace_id"], span_id=link["span_id"])
        added.attributes.extend(_nested_attributes(link))
    span.trace_state, span.flags = row[14] or "", row[15] or 0


def _nested_attributes(nested: dict[str, Any]) -> Iterator[KeyValue]:
    return _attributes(nested["attribute_keys"], nested["attribute_texts"], nested["attribute_types"])


def _attributes(
    keys: Sequence[str] | None, texts: Sequence[str] | None, types: Sequence[int] | None
) -> Iterator[KeyValue]:
    for key, text, value_type in zip(keys or (), texts or (), types or (), strict=True):
        yield KeyValue(key=key, value=_value(text, value_type))


def _value(text: str, value_type: int) -> AnyValue:
    """The value that was stored as this text and type code; its items are taken as they were encoded."""
    match value_type:
        case ValueType.STRING:
            return AnyValue(string_value=text)
        case ValueType.INT:
            return AnyValue(int_value=int(text))
        case ValueType.BOOL:
            return AnyValue(bool_value=text == "true")
        case ValueType.DOUBLE:
            return AnyValue(double_value=float(text))
        case ValueType.BYTES:
            return AnyValue(bytes_value=base64.b64decode(text))
        case ValueType.ARRAY:
            return AnyValue(array_value=ArrayValue(values=map(AnyValue.FromString, _items(text))))
        case ValueType.MAP:
            return AnyValue(kvlist_value=KeyValueList(values=map(KeyValue.FromString, _items(text))))
        case ValueType.MAP_ENTRIES:
            return AnyValue(kvlist_value=KeyValueList(values=map(_entry, text.split(",")[:-1])))
    return AnyValue()


def _items(text: str) -> Iterator[bytes]:
    return map(base64.b64decode, text.split(",")[:-1])


def _entry(item: str) -> KeyValue:
    key, _, value = item.partition(":")
    return KeyValue(key=base64.b64decode(key).decode(), value=AnyValue.FromString(base64.b64decode(value)))
