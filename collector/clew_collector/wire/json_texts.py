"""Arrays and maps as JSON, for formats whose values are text.

A batch holds them encoded (see `wire.attributes`), and SQL cannot parse nested protobuf. They are the exception and
repeat themselves (a process's arguments, a header's values): each that is different is decoded once, in Python, and
put in the place of all that are the same by Arrow.
"""

import base64
from typing import Any, Final

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from clew_collector.wire.attributes import ValueType, decode_value

_TEXTS: Final = "_texts"
_TYPES: Final = "_types"


def with_json_texts(table: pa.Table) -> pa.Table:
    """The table with the JSON of each array and map instead of its encoded items; the types stay as they are.

    Finds them wherever a list `X_texts` stands beside its `X_types`: in columns, and in structs in lists of these.
    """
    columns = _converted(dict(zip(table.column_names, map(_whole, table.columns), strict=True)))
    return pa.table(columns)


def json_text(text: str, value_type: int) -> str:
    """The JSON of a value that was stored as this text and type code; bytes in it are base64."""
    return orjson.dumps(decode_value(text, value_type), default=_base64).decode()


def _converted(columns: dict[str, Any]) -> dict[str, Any]:
    """Columns of one length; those of texts, and those with texts deeper inside, made anew if there is need."""
    return {name: _column(name, column, columns) for name, column in columns.items()}


def _column(name: str, column: Any, columns: dict[str, Any]) -> Any:
    if name.endswith(_TEXTS) and (types := columns.get(name.removesuffix(_TEXTS) + _TYPES)) is not None:
        is_nested = pc.greater_equal(types.flatten(), pa.scalar(int(ValueType.ARRAY), types.type.value_type))
        if pc.any(is_nested).as_py():
            return _with_values(column, _texts(column.flatten(), types.flatten(), is_nested))
    elif pa.types.is_list(column.type) and pa.types.is_struct(column.type.value_type):
        inner = column.flatten()
        names = [field.name for field in inner.type]
        fields = dict(zip(names, inner.flatten(), strict=True))
        converted = _converted(fields)
        if any(converted[name] is not fields[name] for name in names):
            return _with_values(column, pa.StructArray.from_arrays(list(converted.values()), names))
    return column


def _texts(texts: Any, types: Any, is_nested: Any) -> Any:
    codes = types.filter(is_nested).cast(pa.string())
    encoded = pc.binary_join_element_wise(codes, texts.filter(is_nested), " ").dictionary_encode()
    decoded = [_decoded(key) for key in encoded.dictionary.to_pylist()]
    return pc.replace_with_mask(texts, is_nested, pa.array(decoded, texts.type).take(encoded.indices))


def _decoded(key: str) -> str:
    value_type, _, text = key.partition(" ")
    return json_text(text, int(value_type))


def _with_values(column: Any, values: Any) -> Any:
    """A list column with other values in the same lists; `values` are those of its `flatten`, which skips NULLs."""
    lengths = pc.fill_null(pc.list_value_length(column), 0)
    ends = pc.cumulative_sum(lengths)
    offsets = pa.concat_arrays([pa.array([0], ends.type), ends]).cast(pa.int32())
    return pa.ListArray.from_arrays(offsets, values, mask=column.is_null())


def _whole(column: Any) -> Any:
    return column.combine_chunks()


def _base64(value: object) -> str:
    assert isinstance(value, bytes)
    return base64.b64encode(value).decode()
