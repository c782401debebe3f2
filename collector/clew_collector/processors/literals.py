"""A user's texts, globs and regular expressions in SQL: quoted, never pasted."""

import re
from collections.abc import Iterable
from typing import Annotated, Final

import duckdb
from pydantic import AfterValidator, StringConstraints

from clew_collector.wire.attributes import ValueType

MAX_PATTERN_LENGTH: Final = 1_000


def _has_64_bits(value: str | bool | int | float) -> str | bool | int | float:
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError(f"an int has 64 bits, got {value}")
    return value


Plain = Annotated[str | bool | int | float, AfterValidator(_has_64_bits)]
"""A value as YAML has it, for an attribute."""


def literal(text: str) -> str:
    """A text as an SQL literal. DuckDB's have one escape only, the doubled quote."""
    return "'" + text.replace("'", "''") + "'"


def literals(texts: Iterable[str]) -> str:
    """Texts as an SQL list."""
    return f"([{', '.join(map(literal, texts))}]::VARCHAR[])"


def text_of(value: Plain) -> str:
    """The text under which a store holds an attribute's value."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def type_of(value: Plain) -> ValueType:
    """The type code under which a store holds an attribute's value."""
    if isinstance(value, bool):
        return ValueType.BOOL
    if isinstance(value, int):
        return ValueType.INT
    return ValueType.DOUBLE if isinstance(value, float) else ValueType.STRING


def glob_regex(globs: Iterable[str], *, flags: str = "s") -> str:
    """A regular expression for whole texts that any of these globs matches: `*` is any run, `?` one character."""
    return f"(?{flags})^(?:{'|'.join(map(_translated, globs))})$"


def matches_glob(expression: str, glob: str) -> str:
    """SQL that holds where the text of an expression matches a glob; NULL where there is no text."""
    if "*" not in glob and "?" not in glob:
        return f"{expression} = {literal(glob)}"
    return f"regexp_matches({expression}, {literal(glob_regex([glob]))})"


def _translated(glob: str) -> str:
    parts = re.split(r"([*?])", glob)
    return "".join({"*": ".*", "?": "."}.get(part, re.escape(part)) for part in parts)


def _checked(pattern: str) -> str:
    try:
        [(is_empty_match,)] = duckdb.execute("SELECT regexp_matches('', ?)", [pattern]).fetchall()
    except duckdb.Error as error:
        raise ValueError(f"not a regular expression (RE2): {str(error).splitlines()[0]}") from error
    if is_empty_match:
        raise ValueError("matches the empty text, and so everything")
    return pattern


Glob = Annotated[str, StringConstraints(min_length=1, max_length=MAX_PATTERN_LENGTH)]
Regex = Annotated[str, StringConstraints(min_length=1, max_length=MAX_PATTERN_LENGTH), AfterValidator(_checked)]
"""In RE2's syntax (https://github.com/google/re2/wiki/Syntax): linear time, no look-around, no back-references."""
