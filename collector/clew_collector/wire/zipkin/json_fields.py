"""Reading the fields of a JSON object, with an error that says where."""

import re
from typing import Any, Final

import orjson

from clew_collector.errors import BadPayload
from clew_collector.wire.zipkin.model import Endpoint

TRACE_ID_BYTES: Final = 16
SPAN_ID_BYTES: Final = 8

_HEX = re.compile(r"[0-9a-fA-F]+")
_MAX_PORT: Final = 65_535
_MAX_DIGITS: Final = 20


class JsonObject:
    """An object somewhere in a document; `where` is its place, as an error names it.

    A field that is `null` counts as not given. Each method raises `BadPayload` if the field is something else than it
    reads.
    """

    def __init__(self, form: Any, where: str) -> None:
        if not isinstance(form, dict):
            raise BadPayload(f"{where} must be an object, got {_brief(form)}")
        self.form: dict[str, Any] = form
        self.where = where

    def text(self, name: str) -> str:
        """Text; empty if it is not given."""
        value = self.form.get(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise self.wrong(name, "text", value)
        return value

    def needed_text(self, name: str) -> str:
        """Text that may be empty but must be there."""
        if self.form.get(name) is None:
            raise BadPayload(f"{self.where}.{name} is missing")
        return self.text(name)

    def number(self, name: str) -> int:
        """A whole number, also one in quotes or with a fraction of zero; 0 if it is not given or negative."""
        value = self.form.get(name)
        if value is None:
            return 0
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _MAX_DIGITS:
            value = int(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.wrong(name, "a whole number", value)
        return max(0, value)

    def flag(self, name: str) -> bool:
        """True or false; false if it is not given."""
        value = self.form.get(name)
        if value is not None and not isinstance(value, bool):
            raise self.wrong(name, "true or false", value)
        return bool(value)

    def needed_id(self, name: str, size: int) -> bytes:
        """An ID that must be there and must not be zero."""
        found = self.id(name, size)
        if not found:
            raise BadPayload(
                f"{self.where}.{name} must be 1 to {2 * size} hex digits, not all of them 0, "
                f"got {_brief(self.form.get(name))}"
            )
        return found

    def id(self, name: str, size: int) -> bytes:
        """An ID in hex, with zeroes before it as far as it is shorter; empty if it is not given or zero."""
        value = self.form.get(name)
        if value in (None, ""):
            return b""
        if not isinstance(value, str) or len(value) > 2 * size or not _HEX.fullmatch(value):
            raise self.wrong(name, f"1 to {2 * size} hex digits", value)
        found = bytes.fromhex(value.zfill(2 * size))
        return found if any(found) else b""

    def endpoint(self, name: str) -> Endpoint | None:
        """An endpoint, or `None` if nothing is said about it."""
        if self.form.get(name) is None:
            return None
        given = JsonObject(self.form[name], f"{self.where}.{name}")
        port = given.number("port")
        if port > _MAX_PORT:
            raise given.wrong("port", f"at most {_MAX_PORT}", port)
        found = Endpoint(service=given.text("serviceName"), address=given.text("ipv4") or given.text("ipv6"), port=port)
        return found if found.service or found.address or found.port else None

    def objects(self, name: str) -> "list[JsonObject]":
        """A list of objects; empty if it is not given."""
        value = self.form.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.wrong(name, "a list", value)
        return [JsonObject(item, f"{self.where}.{name}[{index}]") for index, item in enumerate(value)]

    def wrong(self, name: str, expected: str, value: Any) -> BadPayload:
        """What to raise for a field that is not as `expected`."""
        return BadPayload(f"{self.where}.{name} must be {expected}, got {_brief(value)}")


def read_spans(body: bytes) -> list[JsonObject]:
    """The objects of a JSON list. Raises `BadPayload` if the body is not one."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadPayload(f"not JSON: {error}") from error
    if not isinstance(document, list):
        raise BadPayload(f"a JSON list of spans was expected, got {_brief(document)}")
    return [JsonObject(form, f"[{index}]") for index, form in enumerate(document)]


def _brief(value: Any) -> str:
    return {dict: "an object", list: "a list", type(None): "nothing"}.get(type(value)) or f"{value!r:.60}"
