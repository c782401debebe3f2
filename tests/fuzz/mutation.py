"""Mutations that keep the form of an input, so that what is behind the parser is reached."""

import random
from collections.abc import Callable
from typing import Any

import orjson

ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**53, 2**63 - 1, 2**63, 2**64 - 1, -(2**63), 0.5, -0.0, 1e18, 1e300),
    *("", "0", "-", "null", "a" * 16, "A" * 32, "0" * 32, "\0", "\u2028", "é", "9" * 25, "Infinity", "NaN", "true"),
    *([], {}, [[]], [{}], {"": None}, {"a": {"b": [1]}}, "1970-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999-23:59"),
)
DEPTHS = (5, 25, 120, 300, 990)
_SMALL_BYTES = 1000


def mutate_json(data: bytes, max_bytes: int, seed: int) -> bytes:
    """One JSON document, or a line of several, with some of its values changed. Raises `ValueError` if it is none."""
    chance = random.Random(seed)
    lines = data.split(b"\n")
    is_lines = len(lines) > 1 and chance.random() < 0.8
    at = chance.randrange(len(lines)) if is_lines else 0
    form = [orjson.loads(lines[at] if is_lines else data)]
    for _ in range(chance.randint(1, 3)):
        _change(form, chance, most=1 if len(data) > _SMALL_BYTES else 40)
    text = _dumps(form[0])
    return (b"\n".join([*lines[:at], text, *lines[at + 1 :]]) if is_lines else text)[:max_bytes]


def mutate_protobuf(data: bytes, max_bytes: int, seed: int) -> bytes:
    """A protobuf message with a field changed, repeated, dropped or put elsewhere, and all lengths set right."""
    return _mutated_message(data, random.Random(seed), depth=0)[:max_bytes]


def mutate_lines(data: bytes, max_bytes: int, seed: int) -> bytes:
    """Pieces of an input repeated and put elsewhere."""
    chance = random.Random(seed)
    start, end = sorted((chance.randint(0, len(data)), chance.randint(0, len(data))))
    at = chance.randint(0, len(data))
    piece = data[start : min(end, start + 200)] * chance.choice((1, 1, 2, 20, 200))
    return (data[:at] + piece + data[at:])[:max_bytes]


def _change(form: list[Any], chance: random.Random, *, most: int) -> None:
    """Change one value somewhere in the only item of a list."""
    places = list(_places(form))
    holder, key = chance.choice(places)
    value = holder[key]
    kind = chance.randrange(6)
    if kind == 0:
        holder[key] = _copy(chance.choice(ODD))
    elif kind == 1:
        other, other_key = chance.choice(places)
        holder[key] = _copy(other[other_key])
    elif kind == 2 and isinstance(value, list):
        value.extend(_copy(value) * chance.choice((1, 1, most)))
    elif kind == 3 and isinstance(value, dict) and value:
        value[chance.choice([*value, *"aé.", ""])] = _copy(chance.choice(list(value.values())))
    elif kind == 4:
        holder[key] = _nested(value, chance)
    elif isinstance(holder, dict):
        holder[chance.choice(list(holder))] = _copy(chance.choice(ODD))
    else:
        holder[key] = _copy(chance.choice(ODD))


def _places(form: Any) -> Any:
    pending = [form]
    while pending:
        node = pending.pop()
        for key in range(len(node)) if isinstance(node, list) else list(node):
            yield node, key
            if isinstance(node[key], list | dict):
                pending.append(node[key])


def _copy(value: Any) -> Any:
    return orjson.loads(_dumps(value))


def _nested(value: Any, chance: random.Random) -> Any:
    wrap: Callable[[Any], Any] = chance.choice((lambda inner: [inner], lambda inner: {"a": inner}))
    for _ in range(chance.choice(DEPTHS)):
        value = wrap(value)
    return value


def _dumps(value: Any) -> bytes:
    """JSON, also of what is nested deeper than orjson writes."""
    pieces: list[str] = []
    pending: list[Any] = [value]
    while pending:
        node = pending.pop()
        if isinstance(node, _Text):
            pieces.append(node)
        elif isinstance(node, list):
            pending += [_Text("]"), *_joined(reversed(node)), _Text("[")]
        elif isinstance(node, dict):
            entries = [item for key in reversed(node) for item in (node[key], _Text(orjson.dumps(key).decode() + ":"))]
            pending += [_Text("}"), *_joined(entries, width=2), _Text("{")]
        else:
            pieces.append(orjson.dumps(node).decode())
    return "".join(pieces).encode()


class _Text(str):
    """A piece of JSON that is written already."""

    __slots__ = ()


def _joined(items: Any, *, width: int = 1) -> list[Any]:
    """Items with a comma after each so many."""
    joined: list[Any] = []
    for number, item in enumerate(items):
        if number and number % width == 0:
            joined.append(_Text(","))
        joined.append(item)
    return joined


Field = tuple[int, int, bytes]
"""Number, wire type and content; the content of a varint is its bytes."""


def _mutated_message(data: bytes, chance: random.Random, *, depth: int) -> bytes:
    fields = _fields(data)
    if not fields:
        return data + chance.randbytes(chance.randint(0, 4))
    at = chance.randrange(len(fields))
    number, wire_type, content = fields[at]
    if wire_type == 2 and content and chance.random() < 0.75:
        fields[at] = (number, 2, _mutated_message(content, chance, depth=depth + 1))
    else:
        _change_field(fields, at, chance)
    return b"".join(map(_encoded, fields))


def _change_field(fields: list[Field], at: int, chance: random.Random) -> None:
    number, wire_type, content = fields[at]
    match chance.randrange(7):
        case 0:
            fields.insert(chance.randint(0, len(fields)), fields[at])
        case 1:
            del fields[at]
        case 2:
            fields[at] = (number, chance.choice((0, 1, 2, 5)), content)
        case 3:
            fields[at] = (chance.choice((0, 1, 2, 3, 7, 11, 15, 16, 2**29 - 1)), wire_type, content)
        case 4:
            fields[at] = (number, 2, content * chance.choice((0, 2, 30)))
        case 5:
            fields[at] = (number, 2, chance.choice((b"", b"\xff", b"\xed\xa0\x80", b"\0" * 16, b"\x0a\x00")))
        case 6:
            wrapped = content
            for _ in range(chance.choice((1, 3, 20, 49, 99))):
                wrapped = _encoded((number, 2, wrapped))
            fields[at] = (number, 2, wrapped)


def _fields(data: bytes) -> list[Field]:
    """The fields of a message; none, if it is not one."""
    fields: list[Field] = []
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire_type = tag >> 3, tag & 7
        start = at
        if wire_type == 0:
            _, at = _varint(data, at)
        elif wire_type == 2:
            length, start = _varint(data, at)
            at = start + length
        elif wire_type in (1, 5):
            at += 8 if wire_type == 1 else 4
        else:
            return []
        if not number or at > len(data):
            return []
        fields.append((number, wire_type, data[start:at]))
    return fields


def _encoded(field: Field) -> bytes:
    number, wire_type, content = field
    tag = _as_varint(number << 3 | wire_type)
    if wire_type == 2:
        return tag + _as_varint(len(content)) + content
    if wire_type == 0:
        return tag + (content if content and content[-1] < 0x80 else b"\x01")
    return tag + content.ljust(8, b"\0")[: 8 if wire_type == 1 else 4]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
    return 0, len(data) + 1


def _as_varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*encoded, value))
