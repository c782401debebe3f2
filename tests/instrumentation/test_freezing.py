import enum
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.exporting.protobuf import any_value
from clew.freezing import MAX_DEPTH, MAX_ITEMS, MAX_TEXT, freeze, freeze_items, safe_text


class Colour(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Broken:
    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


class BrokenMapping(Mapping[str, int]):
    def __getitem__(self, key: str) -> int:
        raise RuntimeError("no")

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("no")

    def __len__(self) -> int:
        return 1


@pytest.mark.parametrize(
    ("given_value", "frozen"),
    [
        ("a", "a"),
        (1, 1),
        (True, True),
        (1.5, 1.5),
        (None, None),
        (b"x", b"x"),
        (bytearray(b"x"), b"x"),
        (memoryview(b"x"), b"x"),
        ([1, "a"], (1, "a")),
        ((1, (2,)), (1, (2,))),
        ({3}, (3,)),
        ({"a": [1], 2: None}, {"a": (1,), "2": None}),
        (Colour.RED, "red"),
        (Level.HIGH, 3),
        (Decimal("1.10"), "1.10"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02 00:00:00+00:00"),
        (2**63, "9223372036854775808"),
        (-(2**63), -(2**63)),
        pytest.param(10**6000, "<unreadable int>", id="huge"),
        (Broken(), "<unreadable Broken>"),
        ([Broken()], ("<unreadable Broken>",)),
        (BrokenMapping(), "<unreadable BrokenMapping>"),
    ],
)
def test_values_come_out_in_otlps_types(given_value: object, frozen: object) -> None:
    found = freeze(given_value)

    assert found == frozen
    assert type(found) is type(frozen)


def test_a_copy_does_not_change_with_its_original() -> None:
    original = {"items": [1]}

    frozen = freeze(original)
    original["items"].append(2)

    assert frozen == {"items": (1,)}


def test_a_cycle_ends() -> None:
    cycle: dict[str, Any] = {}
    cycle["self"] = cycle

    found: Any = freeze(cycle)

    for _ in range(MAX_DEPTH):
        found = found["self"]
    assert found == "..."


def test_wide_and_deep_containers_end_soon() -> None:
    tree: list[Any] = []
    for _ in range(30):
        tree = [tree, tree, tree]

    assert str(freeze(tree)).count("(") <= MAX_ITEMS


def test_long_values_are_cut() -> None:
    assert freeze("x" * (MAX_TEXT + 1)) == "x" * MAX_TEXT
    assert freeze(b"x" * (MAX_TEXT + 1)) == b"x" * MAX_TEXT
    assert safe_text("x" * (MAX_TEXT + 1)) == "x" * MAX_TEXT


def test_names_become_text() -> None:
    assert freeze_items({1: "a", Colour.RED: "b"}) == {"1": "a", "red": "b"}  # type: ignore[dict-item]


def test_a_mapping_that_changes_meanwhile_does_no_harm() -> None:
    shared: dict[int, int] = {}
    stop = threading.Event()

    def change() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            shared[number % 5_000] = number
            shared.pop((number * 7) % 5_000, None)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(200):
            freeze(shared)
    finally:
        stop.set()
        thread.join()


anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.uuids(), st.dates()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner, inner),
)


@given(anything)
def test_whatever_is_frozen_can_be_encoded(value: object) -> None:
    assert isinstance(any_value(freeze(value)), bytes)
