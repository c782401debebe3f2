"""Jaeger's tags: key, type and value."""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

from google.protobuf.internal.containers import RepeatedCompositeFieldContainer
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from clew_collector.errors import BadPayload
from clew_collector.model import Value
from clew_collector.wire.attributes import fill_value
from clew_collector.wire.zipkin.json_fields import JsonObject

Tags = dict[str, Value]
"""Of two tags with one key the last holds."""

_INT64 = range(-(2**63), 2**63)


def read_tags(owner: JsonObject, name: str) -> Tags:
    """The tags in a field of an object. Raises `BadPayload` if they are no list of objects with keys."""
    try:
        return {
            tag.needed_text("key"): _value(tag.form.get("type"), tag.form.get("value")) for tag in owner.objects(name)
        }
    except RecursionError as error:
        raise BadPayload(f"{owner.where}.{name}: a value is nested too deeply") from error


def add_attributes(attributes: RepeatedCompositeFieldContainer[KeyValue], tags: Mapping[str, Value]) -> None:
    """Write tags as attributes, each with its type."""
    for key, value in tags.items():
        fill_value(attributes.add(key=key).value, value)


def _value(type_: Any, value: Any) -> Value:
    """A value by its type, as far as it is of that type: what is odd stays readable as text.

    Numbers of 64 bits are also written in quotes, as JavaScript cannot read them otherwise.
    """
    text = value if isinstance(value, str) else json.dumps(value)
    try:
        if type_ == "int64" and int(text) in _INT64:
            return int(text)
        if type_ == "float64":
            return float(text)
        if type_ == "binary":
            return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return text
    if type_ == "bool" and text in ("true", "false"):
        return text == "true"
    return value if type_ is None and isinstance(value, bool | float) else text
