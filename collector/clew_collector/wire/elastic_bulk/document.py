"""A document as its fields: names with dots, values as JSON has them."""

import json
from typing import Any, Final

import orjson

MAX_DEPTH: Final = 20
"""Objects and lists in one another, as in Elasticsearch (`index.mapping.depth.limit`)."""

_MAX_INT: Final = 2**63 - 1


class BadDocument(Exception):
    """Refuse one document of many; `type` is what Elasticsearch calls it, `cause` what its parser said."""

    def __init__(self, reason: str, *, type: str = "document_parsing_exception", cause: str = "") -> None:
        super().__init__(reason)
        self.type = type
        self.cause = cause


def decode_document(document: bytes) -> dict[str, Any]:
    """The object in a document. Raises `BadDocument`."""
    try:
        form = orjson.loads(document)
    except orjson.JSONDecodeError as error:
        form = _decode_leniently(document, error)
    if not isinstance(form, dict):
        raise BadDocument("Malformed content, must start with an object")
    return form


def flatten(form: dict[str, Any], *, prefix: str = "") -> dict[str, Any]:
    """The fields of an object by their dotted names; what is `null` or an empty object is no field.

    It is the same whether a name is written with dots or as objects in one another; one that is there both ways has
    the values of both. Raises `BadDocument` for what is nested deeper than `MAX_DEPTH`.
    """
    fields: dict[str, Any] = {}
    _flatten(form, prefix, fields, MAX_DEPTH)
    return fields


def too_deep() -> BadDocument:
    """The error for what is nested deeper than `MAX_DEPTH`."""
    return BadDocument(f"Limit of mapping depth [{MAX_DEPTH}] has been exceeded")


def _flatten(form: dict[str, Any], prefix: str, fields: dict[str, Any], room: int) -> None:
    if not room:
        raise too_deep()
    for key, value in form.items():
        kind = type(value)
        if kind is dict:
            _flatten(value, f"{prefix}{key}.", fields, room - 1)
            continue
        if value is None:
            continue
        if kind is list:
            value = _checked(value, room - 1)
        elif kind is int and value > _MAX_INT:
            value = str(value)
        name = prefix + key
        fields[name] = value if name not in fields else [*_as_list(fields[name]), *_as_list(value)]


def _checked(value: Any, room: int) -> Any:
    """A value in a list as it can be kept: whole numbers over 63 bits are text, as they lose digits otherwise."""
    if isinstance(value, int):
        return str(value) if value > _MAX_INT else value
    if not isinstance(value, list | dict):
        return value
    if not room:
        raise too_deep()
    if isinstance(value, list):
        return [_checked(item, room - 1) for item in value]
    return {key: _checked(item, room - 1) for key, item in value.items()}


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _decode_leniently(document: bytes, error: orjson.JSONDecodeError) -> Any:
    """What Elasticsearch takes and orjson does not: half a surrogate, as in a text that was cut in the middle."""
    if not document.strip():
        raise BadDocument("failed to parse, document is empty") from error
    if b"\\ud" in document.lower():
        try:
            text = json.dumps(json.loads(document), ensure_ascii=False)
            return orjson.loads(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
        except (ValueError, RecursionError):
            pass
    raise BadDocument(f"failed to parse: {error}", cause=str(error)) from error
