"""Values as they were when they were given, in the few types that OTLP knows.

A record is encoded later and on another thread: by then a list may have grown and an object may have changed. Whatever
a service hands over comes out as a value here; a broken `__str__`, a cycle or a gigabyte must not reach its caller.
"""

from collections.abc import Mapping, Set
from typing import Final, Union

Frozen = Union[str, int, float, bool, bytes, None, tuple["Frozen", ...], dict[str, "Frozen"]]  # noqa: UP007  (recursive)

PRIMITIVES: Final = frozenset({str, int, float, bool, bytes, type(None)})
"""Exact types that pass as they are: nobody can change them later."""

MAX_TEXT: Final = 65_536
"""Characters (or bytes) kept of one text value."""

MAX_ITEMS: Final = 1_000
"""Values kept of one container and all that is in it."""

MAX_DEPTH: Final = 8


def freeze(value: object) -> Frozen:
    """A copy of `value` that nobody else can change. Never raises: what cannot be read becomes a note saying so."""
    kind = type(value)
    if kind is str:
        return value if len(value) <= MAX_TEXT else value[:MAX_TEXT]  # type: ignore[arg-type, index, return-value]
    if kind in PRIMITIVES:
        return _plain(value)
    try:
        return _frozen(value, _Budget())
    except Exception:  # noqa: BLE001  (any code of the host may run here)
        return unreadable(value)


def freeze_items(values: Mapping[str, object]) -> dict[str, Frozen]:
    """A frozen copy of attributes, names as text. Never raises."""
    try:
        return {key if type(key) is str else safe_text(key): freeze(value) for key, value in values.items()}
    except Exception:  # noqa: BLE001  (a mapping of the host, or one that changes meanwhile)
        return {}


def safe_text(value: object) -> str:
    """`str(value)`, cut to `MAX_TEXT`; never raises."""
    try:
        text = str(value)
        # A subclass of str may bring methods of its own.
        return str.__str__(text)[:MAX_TEXT]
    except Exception:  # noqa: BLE001  (the host's own __str__)
        return unreadable(value)


def unreadable(value: object) -> str:
    """What stands in for a value that could not be read."""
    return f"<unreadable {type(value).__qualname__}>"


class _Budget:
    """How many values may still be copied: a cycle, or lists of lists of lists, end here."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MAX_ITEMS

    def spend(self) -> bool:
        """Take one; False when nothing was left."""
        self.left -= 1
        return self.left >= 0


def _frozen(value: object, budget: _Budget, depth: int = 0) -> Frozen:
    if type(value) in PRIMITIVES or isinstance(value, (str, int, float, bytes, bytearray, memoryview)):
        return _plain(value)
    if depth >= MAX_DEPTH:
        return "..."
    if isinstance(value, Mapping):
        items = list(value.items())[: MAX_ITEMS + 1]
        return {safe_text(key): _frozen(item, budget, depth + 1) for key, item in items if budget.spend()}
    if isinstance(value, (list, tuple, Set)):
        return tuple(_frozen(item, budget, depth + 1) for item in tuple(value) if budget.spend())
    return safe_text(value)


def _plain(value: object) -> Frozen:
    """A primitive of exactly the built-in type: an enum's member, say, as the value it stands for."""
    match value:
        case None | bool():
            return value
        case str():
            return str.__str__(value)[:MAX_TEXT]
        case int():
            return int.__int__(value) if -(1 << 63) <= value < 1 << 63 else _large_number(value)
        case float():
            return float.__float__(value)
        case _:
            return bytes(value)[:MAX_TEXT]  # type: ignore[call-overload, no-any-return]


def _large_number(number: int) -> str:
    """A number that OTLP cannot hold, as text; Python refuses to print the largest ones."""
    return str(number) if number.bit_length() < 4_096 else unreadable(number)
