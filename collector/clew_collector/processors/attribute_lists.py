"""Changing attributes in SQL: the three parallel lists of keys, texts and types."""

from collections.abc import Mapping
from typing import Final, Literal

from clew_collector.processors.literals import Plain, literal, literals, text_of, type_of

Place = Literal["attributes", "resource"]

_PREFIXES: Final[dict[Place, str]] = {"attributes": "attribute", "resource": "resource"}


def keys_column(place: Place) -> str:
    """The column that holds the keys."""
    return f"{_PREFIXES[place]}_keys"


def text_of_key(place: Place, key: str) -> str:
    """SQL for the text of an attribute; NULL if there is none of this key."""
    prefix = _PREFIXES[place]
    return f"{prefix}_texts[list_position({prefix}_keys, {literal(key)})]"


def with_added(place: Place, values: Mapping[str, Plain]) -> dict[str, str]:
    """Columns with these attributes added where there is none of their key."""
    keys, lists = literals(values), _columns(place)
    is_new = f"NOT list_contains({lists[0]}, {keys}[i])"
    return {
        column: f"""list_concat({column}, CASE WHEN list_has_any({lists[0]}, {keys})
            THEN list_filter({new}, lambda x, i: {is_new}) ELSE {new} END)"""
        for column, new in zip(lists, _values(values), strict=True)
    }


def with_set(place: Place, values: Mapping[str, Plain]) -> dict[str, str]:
    """Columns with these attributes, instead of those of the same key."""
    keys, lists = literals(values), _columns(place)
    is_other = f"NOT list_contains({keys}, {lists[0]}[i])"
    return {
        column: f"""list_concat(CASE WHEN list_has_any({lists[0]}, {keys})
            THEN list_filter({column}, lambda x, i: {is_other}) ELSE {column} END, {new})"""
        for column, new in zip(lists, _values(values), strict=True)
    }


def without(place: Place, key_regex: str) -> dict[str, str]:
    """Columns without the attributes whose key matches a regular expression."""
    lists = _columns(place)
    stays = f"NOT regexp_matches({lists[0]}[i], {literal(key_regex)})"
    return {column: f"list_filter({column}, lambda x, i: {stays})" for column in lists}


def with_renamed(place: Place, old: str, new: str) -> dict[str, str]:
    """Columns with one key under another name; an attribute that has the new name already is not touched."""
    keys = keys_column(place)
    renamed = f"list_transform({keys}, lambda x: CASE WHEN x = {literal(old)} THEN {literal(new)} ELSE x END)"
    is_free = f"list_contains({keys}, {literal(old)}) AND NOT list_contains({keys}, {literal(new)})"
    return {keys: f"CASE WHEN {is_free} THEN {renamed} ELSE {keys} END"}


def replacing(select: str, columns: Mapping[str, str], *, when: str | None = None) -> str:
    """A SELECT with other expressions for some columns, in the rows for which `when` holds."""
    if when is not None:
        columns = {name: f"CASE WHEN {when} THEN {expression} ELSE {name} END" for name, expression in columns.items()}
    replaced = ", ".join(f"{expression} AS {name}" for name, expression in columns.items())
    return f"SELECT * REPLACE ({replaced}) FROM ({select})"


def _columns(place: Place) -> tuple[str, str, str]:
    prefix = _PREFIXES[place]
    return f"{prefix}_keys", f"{prefix}_texts", f"{prefix}_types"


def _values(values: Mapping[str, Plain]) -> tuple[str, str, str]:
    types = ", ".join(str(int(type_of(value))) for value in values.values())
    return literals(values), literals(map(text_of, values.values())), f"([{types}]::UTINYINT[])"
