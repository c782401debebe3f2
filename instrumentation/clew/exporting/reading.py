"""Protocol buffers' wire format, read by hand: the collector's answers, and batches that have to be split."""

from collections.abc import Iterator
from typing import Final

_MAX_SHIFT: Final = 63
_FIXED_BYTES: Final = {1: 8, 5: 4}


def read_fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The number and the value of each field: a number, or the bytes of text, of a message, or of a fixed number.

    Raises `ValueError` for what is no message.
    """
    at = 0
    while at < len(message):
        tag, at = _read_varint(message, at)
        wire_type = tag & 7
        if wire_type == 0:
            number, at = _read_varint(message, at)
            yield tag >> 3, number
            continue
        if wire_type == 2:
            size, at = _read_varint(message, at)
        elif wire_type in _FIXED_BYTES:
            size = _FIXED_BYTES[wire_type]
        else:
            raise ValueError(f"wire type {wire_type}")
        if at + size > len(message):
            raise ValueError("a field is cut off")
        yield tag >> 3, message[at : at + size]
        at += size


def read_messages(message: bytes, number: int) -> list[bytes]:
    """The fields of this number that hold messages or text. Raises `ValueError`."""
    return [value for found, value in read_fields(message) if found == number and isinstance(value, bytes)]


def read_number(message: bytes, number: int) -> int:
    """The last field of this number that holds an `int64` or `int32`; 0 if there is none. Raises `ValueError`."""
    found = [value for at, value in read_fields(message) if at == number and isinstance(value, int)]
    value = found[-1] & 0xFFFF_FFFF_FFFF_FFFF if found else 0
    return value - (1 << 64) if value >> 63 else value


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, _MAX_SHIFT + 1, 7):
        if at >= len(message):
            raise ValueError("a number is cut off")
        byte = message[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at
    raise ValueError("a number is too long")
