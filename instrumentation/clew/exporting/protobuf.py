"""Protocol buffers' wire format, as far as OTLP needs it: https://protobuf.dev/programming-guides/encoding/."""

from collections.abc import Mapping
from struct import Struct
from typing import Final

from clew.freezing import Frozen, safe_text

_MASK_64: Final = 0xFFFF_FFFF_FFFF_FFFF
_MAX_CACHED: Final = 8_192
_MAX_CACHED_TEXT: Final = 64

fixed64: Final = Struct("<Q").pack
fixed32: Final = Struct("<I").pack
_double: Final = Struct("<d").pack


def encode_varint(number: int) -> bytes:
    """An unsigned number, seven bits a byte."""
    if number < 128:
        return bytes((number,))
    encoded = bytearray()
    while number > 127:
        encoded.append(number & 127 | 128)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


_SMALL_VARINTS: Final = tuple(encode_varint(number) for number in range(16_384))


def varint(number: int) -> bytes:
    """`encode_varint` with the common ones made once."""
    return _SMALL_VARINTS[number] if number < 16_384 else encode_varint(number)


def message(tag: bytes, body: bytes) -> bytes:
    """A field that holds a message, or bytes."""
    size = len(body)
    return tag + (_SMALL_VARINTS[size] if size < 16_384 else encode_varint(size)) + body


def text(tag: bytes, value: str) -> bytes:
    """A field that holds text; half a surrogate pair, which UTF-8 does not have, becomes a question mark."""
    body = value.encode("utf-8", "replace")
    size = len(body)
    return tag + (_SMALL_VARINTS[size] if size < 16_384 else encode_varint(size)) + body


def any_value(value: Frozen) -> bytes:
    """The body of an OTLP `AnyValue`."""
    kind = type(value)
    if kind is str:
        return text(b"\x0a", value)  # type: ignore[arg-type]
    if kind is bool:
        return b"\x10\x01" if value else b"\x10\x00"
    if kind is int:
        return b"\x18" + varint(value & _MASK_64)  # type: ignore[operator]
    if kind is float:
        return b"\x21" + _double(value)
    if value is None:
        return b""
    if kind is bytes:
        return message(b"\x3a", value)  # type: ignore[arg-type]
    if kind is tuple:
        return message(b"\x2a", b"".join([message(b"\x0a", any_value(item)) for item in value]))  # type: ignore[union-attr]
    if kind is dict:
        return message(b"\x32", attributes(b"\x0a", value))  # type: ignore[arg-type]
    return text(b"\x0a", safe_text(value))


def attributes(tag: bytes, values: Mapping[str, Frozen]) -> bytes:
    """Repeated `KeyValue` fields."""
    return b"".join([key_value(tag, key, value) for key, value in values.items()])


_pairs: dict[tuple[bytes, str, Frozen, type], bytes] = {}


def key_value(tag: bytes, key: str, value: Frozen) -> bytes:
    """One `KeyValue` field. Short ones are remembered: most attributes of most spans have been seen before."""
    kind = type(value)
    if not (kind is int or (kind is str and len(value) <= _MAX_CACHED_TEXT)):  # type: ignore[arg-type]
        return message(tag, _key_value_body(key, value))
    cached = _pairs.get((tag, key, value, kind))
    if cached is None:
        if len(_pairs) >= _MAX_CACHED:
            _pairs.clear()
        cached = _pairs[tag, key, value, kind] = message(tag, _key_value_body(key, value))
    return cached


def _key_value_body(key: str, value: Frozen) -> bytes:
    return text(b"\x0a", key) + message(b"\x12", any_value(value))
