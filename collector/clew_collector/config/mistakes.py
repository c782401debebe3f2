"""What is wrong with a configuration, in words for who wrote it: where, what would be right, what is there."""

import difflib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Final, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from clew_collector.config.collector import CollectorConfig
from clew_collector.model import record

Place = tuple[str | int, ...]
"""Where a value stands in the file: keys and indexes from the top."""

_TAG: Final = "type"
"""The setting that says which of several sections one is."""
_OF_ONE_OF_SEVERAL: Final = "must be text, a number, or true or false"
_WORDS: Final = {
    "model_type": "must be settings by name",
    "model_attributes_type": "must be settings by name",
    "dict_type": "must be names with values",
    "mapping_type": "must be names with values",
    "tuple_type": "must be a list",
    "frozen_set_type": "must be a list",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a smaller number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a number that is not infinite",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be text",
    "path_type": "must be a path",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "string_too_short": "must not be shorter than {min_length}",
    "string_too_long": "must not be longer than {max_length}",
    "too_short": "must not be shorter than {min_length}",
    "too_long": "must not be longer than {max_length}",
    "string_pattern_mismatch": "must match {pattern}",
    "url_type": "must be a URL",
    "url_parsing": "must be a URL: {error}",
    "url_scheme": "must begin with {expected_schemes}",
    "missing": "must be given",
}
"""Pydantic's own, by the type of its error; what validators of ours say is said as it is."""


def mistakes(error: ValidationError, *, path: Path | None, line: Callable[[Place], int]) -> list[str]:
    """A line for each mistake; `line` is that of a place in the file at `path`."""
    told = []
    for detail in error.errors(include_url=False):
        spot, said = _told(detail)
        where = "" if path is None else f"{path}:{line(spot.place)}: "
        name = ".".join(map(str, spot.place))
        told.append(f"{where}{name}: {said}" if name else f"{where}{said}")
    return list(dict.fromkeys(told))


@record
class _Spot:
    """A place, what the model says can be there, and the section around it if the model has one."""

    place: Place
    kind: Any
    section: type[BaseModel] | None


def _told(detail: ErrorDetails) -> tuple[_Spot, str]:
    spot = _spot(detail["loc"])
    match detail["type"]:
        case "extra_forbidden":
            fields = () if spot.section is None else spot.section.model_fields
            return spot, f"there is no such setting{_did_you_mean(spot.place[-1], fields)}"
        case "union_tag_invalid":
            given = detail["ctx"]["tag"]
            return _below(spot, _TAG), f"there is no {given!r:.80}{_did_you_mean(given, _tags(spot.kind))}"
        case "union_tag_not_found":
            return _below(spot, _TAG), f"must be given; there are {', '.join(_tags(spot.kind))}"
        case kind:
            said = _OF_ONE_OF_SEVERAL if _is_one_of_several(spot.kind) else _words(kind, detail)
            return spot, said + _seen(spot, said, detail)


def _words(kind: str, detail: ErrorDetails) -> str:
    limits = {name: _number(value) for name, value in detail.get("ctx", {}).items()}
    if limits.get("min_length") == 1:
        return "must not be empty"
    if kind in _WORDS:
        return _WORDS[kind].format_map(limits)
    if kind == "value_error":
        return detail["msg"].removeprefix("Value error, ")
    return detail["msg"][:1].lower() + detail["msg"][1:]


def _number(limit: object) -> object:
    """As a person wrote it: pydantic has a limit of 0 as 0.0."""
    return int(limit) if isinstance(limit, float) and limit.is_integer() else limit


def _seen(spot: _Spot, said: str, detail: ErrorDetails) -> str:
    """What is there, unless it is long, has been said, or nobody is to see it."""
    given = detail["input"]
    if isinstance(given, Mapping | list | tuple) or ", got " in said or _is_secret(spot.kind):
        return ""
    return f", got {given!r:.80}"


def _spot(loc: Place) -> _Spot:
    """What pydantic's `loc` is about: it also names which member of a union was tried, which no file does."""
    spot = _Spot(place=(), kind=CollectorConfig, section=None)
    for part in loc:
        if _tags(spot.kind):
            spot = _Spot(place=spot.place, kind=_tagged(spot.kind, part), section=spot.section)
        elif not _is_one_of_several(spot.kind) and part != "[key]":
            spot = _below(spot, part)
    return spot


def _below(spot: _Spot, part: str | int) -> _Spot:
    kind, place = _bare(spot.kind), (*spot.place, part)
    if _is_section(kind):
        field = kind.model_fields.get(part)
        return _Spot(place=place, kind=None if field is None else field.annotation, section=kind)
    arguments = get_args(kind)
    if isinstance(get_origin(kind), type) and issubclass(get_origin(kind), Mapping):
        return _Spot(place=place, kind=arguments[1], section=None)
    return _Spot(place=place, kind=arguments[0] if arguments else None, section=None)


def _bare(kind: Any) -> Any:
    """An annotation without its metadata, and without the `None` that it may also be."""
    while hasattr(kind, "__metadata__"):
        kind = get_args(kind)[0]
    if get_origin(kind) in (Union, UnionType):
        members = [each for each in get_args(kind) if each is not NoneType]
        if len(members) == 1:
            return _bare(members[0])
    return kind


def _members(kind: Any) -> list[Any]:
    """Of a union, what it is one of."""
    kind = _bare(kind)
    return list(map(_bare, get_args(kind))) if get_origin(kind) in (Union, UnionType) else []


def _tags(kind: Any) -> list[str]:
    """The types of sections that something may be; none if it is always the same."""
    sections = [each for each in _members(kind) if _is_section(each) and _TAG in each.model_fields]
    return [str(tag) for section in sections for tag in get_args(section.model_fields[_TAG].annotation)]


def _tagged(kind: Any, tag: str | int) -> Any:
    sections = [each for each in _members(kind) if tag in get_args(each.model_fields[_TAG].annotation)]
    return sections[0] if sections else None


def _is_one_of_several(kind: Any) -> bool:
    return bool(_members(kind)) and not _tags(kind)


def _is_secret(kind: Any) -> bool:
    return _bare(kind) is SecretStr


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _did_you_mean(given: object, known: Iterable[str]) -> str:
    names = sorted(known)
    if not names:
        return ""
    nearest = difflib.get_close_matches(str(given), names, n=1)
    return f"; did you mean {nearest[0]}?" if nearest else f"; there are {', '.join(names)}"
