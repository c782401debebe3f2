"""Protocol buffers' wire format, as far as OTLP needs it: https://protobuf.dev/programming-guides/encoding/."""

from collections.abc import Callable, Mapping
from struct import Struct
from typing import Final, TypeVar

from clew.freezing import Frozen, safe_text
from clew.redaction import Redactor, current_redactor

KeyT = TypeVar("KeyT")

_MASK_64: Final = 0xFFFF_FFFF_FFFF_FFFF
_MAX_CACHED: Final = 8_192
_MAX_CACHED_TEXT: Final = 64

fixed64: Final = Struct("<Q").pack
fixed32: Final = Struct("<I").pack
_double: Final = Struct("<d").pack
_DOUBLE: Final = b"\x21"
"""The tag of an `AnyValue`'s `double_value`."""


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


# Most messages are shorter than this; a longer table takes longer to make than it saves.
_SMALL_VARINTS: Final = tuple([encode_varint(number) for number in range(2_048)])


def varint(number: int) -> bytes:
    """`encode_varint` with the common ones made once."""
    return _SMALL_VARINTS[number] if number < 2_048 else encode_varint(number)


def message(tag: bytes, body: bytes) -> bytes:
    """A field that holds a message, or bytes."""
    size = len(body)
    return tag + (_SMALL_VARINTS[size] if size < 2_048 else encode_varint(size)) + body


def text(tag: bytes, value: str) -> bytes:
    """A field that holds text; half a surrogate pair, which UTF-8 does not have, becomes a question mark."""
    body = value.encode("utf-8", "replace")
    size = len(body)
    return tag + (_SMALL_VARINTS[size] if size < 2_048 else encode_varint(size)) + body


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


class _Memory:
    """Encoded pairs without their secrets, and who took those out. Another redactor begins with an empty memory."""

    __slots__ = ("pairs", "redactor")

    def __init__(self) -> None:
        self.pairs: dict[object, bytes] = {}
        self.redactor: Redactor | None = None


_MEMORY: Final = _Memory()


def follow_settings() -> Redactor:
    """Take secrets out as the settings of this moment say. Once a record: it costs as much as an attribute."""
    redactor = current_redactor()
    if _MEMORY.redactor is not redactor:
        # In this order: who has taken the new memory must not find the old redactor.
        _MEMORY.redactor = redactor
        _MEMORY.pairs = {}
    return redactor


def remembered(key: KeyT, encode: Callable[[KeyT], bytes]) -> bytes:
    """What `encode` made of `key` at first, as long as secrets are taken out alike."""
    pairs = _MEMORY.pairs
    cached = pairs.get(key)
    return _remember(pairs, key, encode(key)) if cached is None else cached


def key_value(tag: bytes, key: str, value: Frozen) -> bytes:
    """One `KeyValue` field. Short ones are remembered: most attributes of most spans have been seen before."""
    kind = type(value)
    pairs = _MEMORY.pairs
    if kind is float:
        # Numbers do not come again, what is before them does.
        before = pairs.get((tag, key))
        if before is None:
            encoded = message(tag, _key_value_body(key, value))
            return encoded if encoded[-9:-8] != _DOUBLE else _remember(pairs, (tag, key), encoded[:-8]) + encoded[-8:]
        return before + _double(value)
    if not (kind is int or (kind is str and len(value) <= _MAX_CACHED_TEXT)):  # type: ignore[arg-type]
        return message(tag, _key_value_body(key, value))
    cached = pairs.get((tag, key, value, kind))
    if cached is None:
        return _remember(pairs, (tag, key, value, kind), message(tag, _key_value_body(key, value)))
    return cached


def body_field(value: Frozen) -> bytes:
    """A log record's field `body`. Short ones are remembered: a service writes the same lines again and again."""
    redactor = _MEMORY.redactor or follow_settings()
    if type(value) is not str or len(value) > _MAX_CACHED_TEXT:
        return message(b"\x2a", any_value(redactor.value(value)))
    pairs = _MEMORY.pairs
    cached = pairs.get(value)
    return _remember(pairs, value, message(b"\x2a", text(b"\x0a", redactor.text(value)))) if cached is None else cached


def _remember(pairs: dict[object, bytes], key: object, encoded: bytes) -> bytes:
    if len(pairs) >= _MAX_CACHED:
        pairs.clear()
    pairs[key] = encoded
    return encoded


def _key_value_body(key: str, value: Frozen) -> bytes:
    redactor = _MEMORY.redactor or follow_settings()
    return text(b"\x0a", key) + message(b"\x12", any_value(redactor.field(key, value)))
