"""Records as lines of JSON or as columns, made by SQL: those of the pages' JSON, under the same names."""

from typing import Any, Final

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from clew_collector.model import SPAN_KINDS, SPAN_STATUSES, Signal

_ATTRIBUTES: Final = """
    json_attributes(attribute_keys, attribute_texts, attribute_types, []::VARCHAR[])"""
_RESOURCE: Final = "json_attributes(resource_keys, resource_texts, resource_types, []::VARCHAR[])"
_NESTED: Final = "json_attributes(e.attribute_keys, e.attribute_texts, e.attribute_types, []::VARCHAR[])"


def _items(items: str, **fields: str) -> str:
    """SQL for a list of objects with these fields and attributes."""
    pairs = "".join(f"'\"{name}\":', {sql}, ',', " for name, sql in fields.items())
    return f"""concat('[', array_to_string(list_transform({items},
        lambda e: concat('{{', {pairs}'"attributes":', {_NESTED}, '}}')), ','), ']')"""


def _name_of(number: str, names: tuple[str, ...]) -> str:
    return f"coalesce({list(names)}[{number} + 1], '{names[0]}')"


# Text and numbers, and what is JSON already.
_PLAIN: Final[dict[Signal, dict[str, str]]] = {
    "logs": {
        "time_ns": "time_ns",
        "severity_number": "severity_number",
        "severity_text": "severity_text",
        "service": "service",
        "trace_id": "hex_id(trace_id)",
        "span_id": "hex_id(span_id)",
        "correlation_id": "correlation_id",
        "scope": "scope",
        "event_name": "event_name",
    },
    "traces": {
        "trace_id": "hex_id(trace_id)",
        "span_id": "hex_id(span_id)",
        "parent_span_id": "hex_id(parent_span_id)",
        "correlation_id": "correlation_id",
        "service": "service",
        "name": "name",
        "kind": _name_of("kind", SPAN_KINDS),
        "start_ns": "start_ns",
        "duration_ns": "CASE WHEN end_ns IS NOT NULL THEN greatest(end_ns - start_ns, 0) END",
        "status": _name_of("status", SPAN_STATUSES),
        "status_message": "status_message",
        "scope": "scope",
    },
}
_JSON: Final[dict[Signal, dict[str, str]]] = {
    "logs": {"body": "json_value(body, body_type)", "attributes": _ATTRIBUTES, "resource": _RESOURCE},
    "traces": {
        "attributes": _ATTRIBUTES,
        "resource": _RESOURCE,
        "events": _items("events", time_ns="e.time_ns", name="to_json(e.name)"),
        "links": _items("links", trace_id="to_json(hex_id(e.trace_id))", span_id="to_json(hex_id(e.span_id))"),
    },
}


def encode_ndjson(connection: duckdb.DuckDBPyConnection, signal: Signal, select: str) -> pa.Buffer | None:
    """The records of a SELECT as lines in zstd; `None` if there are none."""
    fields = {name: f"to_json({sql})" for name, sql in _PLAIN[signal].items()} | _JSON[signal]
    pairs = ", ',', ".join(f"'\"{name}\":', coalesce({sql}::VARCHAR, 'null')" for name, sql in fields.items())
    table = connection.sql(f"SELECT concat('{{', {pairs}, '}}', chr(10)) AS line FROM ({select})").to_arrow_table()
    if table.num_rows == 0:
        return None
    lines: Any = table.column("line").cast(pa.large_string()).combine_chunks()
    output = pa.BufferOutputStream()
    with pa.CompressedOutputStream(output, "zstd") as compressing:
        compressing.write(lines.buffers()[2])
    return output.getvalue()


def encode_parquet(connection: duckdb.DuckDBPyConnection, signal: Signal, select: str) -> pa.Buffer | None:
    """The records of a SELECT as a Parquet file in zstd; `None` if there are none."""
    columns = ", ".join(f"{sql} AS {name}" for name, sql in (_PLAIN[signal] | _JSON[signal]).items())
    table = connection.sql(f"SELECT {columns} FROM ({select})").to_arrow_table()
    if table.num_rows == 0:
        return None
    output = pa.BufferOutputStream()
    pq.write_table(table, output, compression="zstd")
    return output.getvalue()
