"""Records as JSON, by SQL: what the sinks share that write documents.

The macros are for a connection of `open_encoder`. An attribute's value is a JSON value of its own type; arrays and
maps, which a batch holds in protobuf, are made readable first, each distinct one once (`readable`).
"""

import base64
from collections.abc import Callable
from typing import Final

import duckdb
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from clew_collector.model import Value
from clew_collector.processors.base import open_connection
from clew_collector.sinks.base import Outgoing
from clew_collector.wire.attributes import ValueType as V
from clew_collector.wire.attributes import decode_value

Change = Callable[[Value], Value]

MACROS: Final = (
    # A cast, not strftime: DuckDB 2.0 writes a stray byte after %n. It leaves zeroes at the end out.
    "CREATE OR REPLACE MACRO iso_time(ns) AS replace(make_timestamp_ns(ns)::VARCHAR, ' ', 'T') || 'Z'",
    "CREATE OR REPLACE MACRO hex_id(id) AS lower(hex(id))",
    "CREATE OR REPLACE MACRO value_of(keys, texts, name) AS texts[list_position(keys, name)]",
    f"""CREATE OR REPLACE MACRO json_value(text, type) AS CASE
        WHEN type IN ({V.STRING}, {V.BYTES}) THEN to_json(text)::VARCHAR
        WHEN type = {V.DOUBLE} AND text IN ('nan', 'inf', '-inf') THEN '"' || text || '"'
        WHEN type = {V.EMPTY} THEN 'null'
        ELSE text END""",
    # Of two with the same key the last one holds. A name of nothing but blanks is none for those who read JSON.
    # What begins with a blank sorts before '!': the cheap question spares almost all names the other one.
    """CREATE OR REPLACE MACRO json_name(k) AS to_json(
        CASE WHEN k < '!' AND trim(k, ' \t\r\n') = '' THEN concat('(blank ', length(k), ')') ELSE k END)""",
    """CREATE OR REPLACE MACRO json_attributes(keys, texts, types, without) AS concat('{', array_to_string(
        list_transform(keys, lambda k, i: CASE
            WHEN list_contains(without, k) OR list_contains(keys[i + 1:], k) THEN NULL
            ELSE concat(json_name(k), ':', json_value(texts[i], types[i])) END),
        ','), '}')""",
    # A body is text; anything else is given as the JSON that it is.
    f"CREATE OR REPLACE MACRO json_text(text, type) AS "
    f"to_json(CASE WHEN type = {V.STRING} THEN text WHEN type = {V.EMPTY} THEN '' ELSE json_value(text, type) END)",
)


def _unchanged(value: Value) -> Value:
    return value


def open_encoder() -> duckdb.DuckDBPyConnection:
    """A connection with the macros of batches and of this module. For one thread."""
    connection = open_connection()
    for macro in MACROS:
        connection.execute(macro)
    return connection


def readable(connection: duckdb.DuckDBPyConnection, outgoing: Outgoing, *, change: Change = _unchanged) -> str:
    """Register a batch on a connection, and the SELECT of its records in which arrays and maps are texts of JSON.

    `change` is applied to each distinct one of those that are attributes.
    """
    connection.register("batch", outgoing.table)
    if not any(_has_nested(column.combine_chunks()) for column in outgoing.table.columns):
        return outgoing.select
    flat = connection.sql(outgoing.select).to_arrow_table()
    columns = {name: flat.column(name).combine_chunks() for name in flat.column_names}
    connection.register("flat", pa.table(_made_readable(columns, change)))
    return "SELECT * FROM flat"


def _has_nested(array: pa.Array) -> bool:
    if pa.types.is_list(array.type):
        return _has_nested(array.values)
    if not pa.types.is_struct(array.type):
        return False
    fields = {field.name: array.field(index) for index, field in enumerate(array.type)}
    if any(name in fields and fields[name].null_count < len(array) for name in ("array_value", "kvlist_value")):
        return True
    return any(_has_nested(field) for field in fields.values())


def _made_readable(columns: dict[str, pa.Array], change: Change) -> dict[str, pa.Array]:
    """The same columns, with each text whose type says that it is an array or a map replaced by its JSON."""
    made = dict(columns)
    for texts, types in (("attribute_texts", "attribute_types"), ("resource_texts", "resource_types")):
        if texts in columns:
            made[texts] = _replaced(columns[texts], columns[types], change)
    if "body" in columns:
        made["body"] = _replaced(columns["body"], columns["body_type"], _unchanged)
    for name in ("events", "links"):
        if name in columns:
            made[name] = _items_made_readable(columns[name], change)
    return made


def _items_made_readable(items: pa.ListArray, change: Change) -> pa.ListArray:
    values = items.values
    fields = {field.name: values.field(index) for index, field in enumerate(values.type)}
    made = _made_readable(fields, change)
    return pa.ListArray.from_arrays(items.offsets, pa.StructArray.from_arrays(list(made.values()), list(made)))


def _replaced(texts: pa.Array, types: pa.Array, change: Change) -> pa.Array:
    if pa.types.is_list(texts.type):
        return pa.ListArray.from_arrays(texts.offsets, _replaced(texts.values, types.values, change))
    is_nested = pc.fill_null(pc.greater(types, int(V.BYTES)), False)
    if not pc.any(is_nested).as_py():
        return texts
    nested = pa.StructArray.from_arrays([texts.filter(is_nested), types.filter(is_nested)], ["text", "type"])
    return pc.replace_with_mask(texts, is_nested, _json_of(nested, change))


def _json_of(nested: pa.StructArray, change: Change) -> pa.Array:
    known: dict[tuple[str, int], str] = {}
    pairs = list(zip(nested.field("text").to_pylist(), nested.field("type").to_pylist(), strict=True))
    for text, value_type in set(pairs):
        known[text, value_type] = orjson.dumps(change(decode_value(text, value_type)), default=_base64).decode()
    return pa.array([known[pair] for pair in pairs], pa.string())


def _base64(value: Value) -> str:
    assert isinstance(value, bytes)
    return base64.b64encode(value).decode()
