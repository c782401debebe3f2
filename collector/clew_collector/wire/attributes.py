"""Attribute values as text beside a type code, the form in which batches and stores hold them.

A map of mixed values would cost a store three times what parallel lists of keys, texts and codes do, and texts can
be searched. Arrays and maps keep their encoded OTLP items, base64, until somebody looks at them.
"""

import base64
from collections.abc import Sequence
from enum import IntEnum

from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from clew_collector.model import Attributes, Value


class ValueType(IntEnum):
    """How to read a value's text back. The numbers are stored: never reuse one."""

    EMPTY = 0
    STRING = 1
    BOOL = 2
    INT = 3
    DOUBLE = 4
    BYTES = 5
    ARRAY = 6
    """Base64 of each item's `AnyValue`, each with a comma after it."""
    MAP = 7
    """Base64 of each entry's `KeyValue`, each with a comma after it."""
    MAP_ENTRIES = 8
    """Base64 of each entry's key and of its `AnyValue`, with a colon between and a comma after it."""


def fill_value(target: AnyValue, value: Value) -> None:
    """Write a value into an OTLP one, with its type; `None` leaves it without a value."""
    if isinstance(value, str):
        target.string_value = value
    elif isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, int):
        target.int_value = value
    elif isinstance(value, float):
        target.double_value = value
    elif isinstance(value, bytes):
        target.bytes_value = value
    elif isinstance(value, list):
        target.array_value.SetInParent()
        for item in value:
            fill_value(target.array_value.values.add(), item)
    elif isinstance(value, dict):
        target.kvlist_value.SetInParent()
        for key, item in value.items():
            fill_value(target.kvlist_value.values.add(key=key).value, item)


def decode_attributes(
    keys: Sequence[str] | None, texts: Sequence[str] | None, types: Sequence[int] | None
) -> Attributes:
    """Attributes from three parallel lists, in the order sent; of two with the same key the last one holds."""
    if not keys or not texts or not types:
        return {}
    return {key: decode_value(text, type_) for key, text, type_ in zip(keys, texts, types, strict=True)}


def decode_value(text: str, value_type: int) -> Value:
    """The value that was stored as this text and type code."""
    if value_type == ValueType.STRING:
        return text
    if value_type == ValueType.INT:
        return int(text)
    if value_type == ValueType.DOUBLE:
        return float(text)
    if value_type == ValueType.BOOL:
        return text == "true"
    if value_type == ValueType.BYTES:
        return base64.b64decode(text)
    if value_type == ValueType.ARRAY:
        return [_decode_item(item) for item in _items(text)]
    if value_type == ValueType.MAP:
        return dict(_decode_entry(item) for item in _items(text))
    if value_type == ValueType.MAP_ENTRIES:
        return dict(_decode_split_entry(item) for item in _items(text))
    return None


def plain_value(value: AnyValue) -> Value:
    """A protobuf value as a Python one."""
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [plain_value(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return {entry.key: plain_value(entry.value) for entry in value.kvlist_value.values}
    plain: Value = getattr(value, kind)
    return plain


def _items(text: str) -> list[str]:
    return text.split(",")[:-1]


def _decode_item(item: str) -> Value:
    return _parsed_value(base64.b64decode(item))


def _decode_entry(item: str) -> tuple[str, Value]:
    try:
        entry = KeyValue.FromString(base64.b64decode(item))
    except DecodeError:
        return "", None
    return entry.key, plain_value(entry.value)


def _decode_split_entry(item: str) -> tuple[str, Value]:
    key, _, value = item.partition(":")
    return base64.b64decode(key).decode(), _parsed_value(base64.b64decode(value))


def _parsed_value(encoded: bytes) -> Value:
    # Intake has parsed the whole payload, so this fails only on a damaged store; a page must still open.
    try:
        return plain_value(AnyValue.FromString(encoded))
    except DecodeError:
        return None
