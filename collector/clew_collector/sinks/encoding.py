"""Records as JSON, by SQL: what the sinks share that write documents.

`MACROS` are for `Connections`. An attribute's value is a JSON value of its own type; arrays and maps, which a batch
holds in protobuf, are made readable first, each distinct one once (`readable`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import duckdb

from clew_collector.sinks.base import Outgoing
from clew_collector.wire.attributes import ValueType as V
from clew_collector.wire.json_texts import Change, has_nested, unchanged, with_json_texts

MACROS: Final = (
    # A cast, not strftime: DuckDB 2.0 writes a stray byte after %n. It leaves zeroes at the end out.
    "CREATE OR REPLACE MACRO iso_time(ns) AS replace(make_timestamp_ns(ns)::VARCHAR, ' ', 'T') || 'Z'",
    "CREATE OR REPLACE MACRO hex_id(id) AS lower(hex(id))",
    "CREATE OR REPLACE MACRO value_of(keys, texts, name) AS texts[list_position(keys, name)]",
    f"""CREATE OR REPLACE MACRO json_value(text, type) AS CASE
        WHEN type IN ({V.STRING}, {V.BYTES}) THEN to_json(text)::VARCHAR
        WHEN type = {V.DOUBLE} AND text IN ('nan', '-nan') THEN '"nan"'
        WHEN type = {V.DOUBLE} AND text IN ('inf', '-inf') THEN '"' || text || '"'
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


@contextmanager
def readable(connection: duckdb.DuckDBPyConnection, outgoing: Outgoing, *, change: Change = unchanged) -> Iterator[str]:
    """A SELECT of a batch's records in which arrays and maps are texts of JSON; the connection holds the batch.

    `change` is applied to each distinct one of those that are attributes.
    """
    if not has_nested(outgoing.table):
        yield outgoing.select
        return
    flat = connection.sql(outgoing.select).to_arrow_table()
    connection.register("flat", with_json_texts(flat, change=change))
    try:
        yield "SELECT * FROM flat"
    finally:
        connection.unregister("flat")
