"""Arrays and maps as JSON, for formats whose values are text.

A batch holds them encoded (see `wire.attributes`), and SQL cannot parse nested protobuf. They are the exception and
repeat themselves (a process's arguments, a header's values): each that is different is decoded once, in Python, and
put in the place of all that are the same by Arrow.
"""

import base64
from collections.abc import Callable, Iterator
from typing import Any, Final

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from clew_collector.model import Value
from clew_collector.wire.attributes import ValueType, decode_value

_TEXTS: Final = "_texts"
_TYPES: Final = "_types"
_NESTED: Final = ("array_value", "kvlist_value")
_KEY: Final = "key"
_BODY: Final = "body"
_BODY_TYPE: Final = "body_type"

Change = Callable[[Value], Value]
"""Makes a value what a format can hold."""


def unchanged(value: Value) -> Value:
    """The value as it is."""
    return value


def with_json_texts(table: pa.Table, *, change: Change = unchanged) -> pa.Table:
    """The table with the JSON of each array and map instead of its encoded items; the types stay as they are.

    Finds them wherever a list `X_texts` stands beside its `X_types`, in columns and in structs in lists of these, and
    in the column `body`. `change` is applied before, to all but bodies. Bytes in them are base64.
    """
    columns = dict(zip(table.column_names, (column.combine_chunks() for column in table.columns), strict=True))
    return pa.table(_converted(columns, change))


def has_nested(batch: pa.Table) -> bool:
    """Whether there is an array or a map in a batch as `wire.otlp.payload.decode` gives it."""
    return any(len(texts) > texts.null_count for name in _NESTED for texts in _fields(batch, name))


def attribute_keys(batch: pa.Table) -> set[str]:
    """The keys of all attributes in such a batch, whatever they are of."""
    return {key for keys in _fields(batch, _KEY) for key in pc.unique(keys).to_pylist() if key is not None}


def _fields(batch: pa.Table, name: str) -> Iterator[pa.Array]:
    """The values of all fields of a name, however deep."""
    for column in batch.columns:
        yield from _inner(column.combine_chunks(), name)


def _inner(array: pa.Array, name: str) -> Iterator[pa.Array]:
    if pa.types.is_list(array.type):
        yield from _inner(array.values, name)
    elif pa.types.is_struct(array.type):
        for index, field in enumerate(array.type):
            if field.name == name:
                yield array.field(index)
            yield from _inner(array.field(index), name)


def _converted(columns: dict[str, Any], change: Change) -> dict[str, Any]:
    """Columns of one length; those of texts, and those with texts deeper inside, made anew if there is need."""
    return {name: _column(name, column, columns, change) for name, column in columns.items()}


def _column(name: str, column: Any, columns: dict[str, Any], change: Change) -> Any:
    if name == _BODY and (types := columns.get(_BODY_TYPE)) is not None:
        return _texts(column, types, unchanged)
    if name.endswith(_TEXTS) and (types := columns.get(name.removesuffix(_TEXTS) + _TYPES)) is not None:
        values = column.flatten()
        made = _texts(values, types.flatten(), change)
        return column if made is values else _with_values(column, made)
    if pa.types.is_list(column.type) and pa.types.is_struct(column.type.value_type):
        inner = column.flatten()
        names = [field.name for field in inner.type]
        fields = dict(zip(names, inner.flatten(), strict=True))
        converted = _converted(fields, change)
        if any(converted[name] is not fields[name] for name in names):
            return _with_values(column, pa.StructArray.from_arrays(list(converted.values()), names))
    return column


def _texts(texts: Any, types: Any, change: Change) -> Any:
    """The texts themselves if none of them is of an array or a map."""
    is_nested = pc.fill_null(pc.greater_equal(types, pa.scalar(int(ValueType.ARRAY), types.type)), False)
    if not pc.any(is_nested).as_py():
        return texts
    codes = types.filter(is_nested).cast(pa.string())
    encoded = pc.binary_join_element_wise(codes, texts.filter(is_nested), " ").dictionary_encode()
    decoded = [_decoded(key, change) for key in encoded.dictionary.to_pylist()]
    return pc.replace_with_mask(texts, is_nested, pa.array(decoded, texts.type).take(encoded.indices))


def _decoded(key: str, change: Change) -> str:
    value_type, _, text = key.partition(" ")
    return orjson.dumps(change(decode_value(text, int(value_type))), default=_base64).decode()


def _with_values(column: Any, values: Any) -> Any:
    """A list column with other values in the same lists; `values` are those of its `flatten`, which skips NULLs."""
    lengths = pc.fill_null(pc.list_value_length(column), 0)
    ends = pc.cumulative_sum(lengths)
    offsets = pa.concat_arrays([pa.array([0], ends.type), ends]).cast(pa.int32())
    return pa.ListArray.from_arrays(offsets, values, mask=column.is_null())


def _base64(value: object) -> str:
    assert isinstance(value, bytes)
    return base64.b64encode(value).decode()
