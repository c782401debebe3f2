"""The reference of clew.yaml, made from its model."""

import re
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from clew_collector.config.collector import CollectorConfig
from clew_collector.tls import TlsConfig

_NAMES: Final = {SecretStr: "text, kept secret", str: "text", int: "integer", float: "number", bool: "true or false"}


def reference() -> str:
    """Every setting of clew.yaml as Markdown: a table a section, one that is in several places once."""
    return "\n".join(_section(CollectorConfig, "", shown=set())).strip() + "\n"


def _section(model: type[BaseModel], name: str, *, shown: set[type[BaseModel]]) -> Iterator[str]:
    title = f"## `{name}`" if name else "## At the top"
    yield from (title, "", _sentence(model), "", "| setting | what | values | default |", "|---|---|---|---|")
    inner: list[tuple[type[BaseModel], str]] = []
    for key, field in model.model_fields.items():
        models = _models(field.annotation)
        mark = "[]" if _is_list(field.annotation) else ""
        below = f"{name}.{key}{mark}" if name else f"{key}{mark}"
        inner += [(each, _named(each, below, several=len(models) > 1)) for each in models]
        yield f"| `{key}` | {_described(field, models)} | {_values(field)} | {_default(field)} |"
    yield ""
    for each, below in inner:
        if each not in shown:
            shown.add(each)
            yield from _section(each, "tls" if each is TlsConfig else below, shown=shown)


def _named(model: type[BaseModel], below: str, *, several: bool) -> str:
    kind = model.model_fields.get("type")
    if not several or kind is None:
        return below
    return f"{below}` of `type: {' or '.join(map(str, get_args(kind.annotation)))}"


def _sentence(model: type[BaseModel]) -> str:
    sentence = " ".join((model.__doc__ or "").split())
    named = re.fullmatch(r"`\w+`: (.)(.*)", sentence)
    return sentence if named is None else named[1].upper() + named[2]


def _described(field: FieldInfo, models: list[type[BaseModel]]) -> str:
    if field.description:
        return " ".join(field.description.split()).replace("|", "\\|")
    return _sentence(models[0]).partition(". ")[0].rstrip(".") + "." if len(models) == 1 else ""


def _values(field: FieldInfo) -> str:
    bounds = []
    for limit in field.metadata:
        for name, sign in (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<")):
            if (value := getattr(limit, name, None)) is not None:
                bounds.append(f"{sign} {value}")
    return ", ".join([*_kinds(field.annotation), *bounds]).replace("|", "\\|")


def _kinds(annotation: Any) -> list[str]:
    origin = get_origin(annotation)
    if origin is Literal:
        return [" or ".join(f"`{value}`" for value in get_args(annotation))]
    if origin in (Union, UnionType):
        kinds = [kind for each in get_args(annotation) if each is not type(None) for kind in _kinds(each)]
        return [" or ".join(dict.fromkeys(kinds))]
    if origin in (tuple, list, frozenset):
        return [f"list of {' or '.join(_kinds(get_args(annotation)[0]))}"]
    if origin is dict or (origin is not None and issubclass(origin if isinstance(origin, type) else object, dict)):
        return ["names with values"]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return ["section"]
    if hasattr(annotation, "__metadata__"):
        return _kinds(get_args(annotation)[0])
    return [_NAMES.get(annotation, getattr(annotation, "__name__", str(annotation)).lower())]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "must be given"
    if field.default_factory is not None and field.annotation is Path:
        return ""  # it is another on each machine
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is PydanticUndefined or value is None or isinstance(value, BaseModel) or value in ((), {}):
        return ""
    if isinstance(value, frozenset):
        return ", ".join(f"`{each}`" for each in sorted(value))
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for each in get_args(annotation) for model in _models(each)]


def _is_list(annotation: Any) -> bool:
    return get_origin(annotation) in (tuple, list) or any(map(_is_list, get_args(annotation)))
