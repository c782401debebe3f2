"""Zipkin v2 JSON of spans, made by SQL: a text a span, no Python once a record.

The mapping is that of https://opentelemetry.io/docs/specs/otel/trace/sdk_exporters/zipkin/, and undoes what
`to_otlp` does: a span that came from Zipkin goes out as it came, as far as it is known.
"""

from collections.abc import Iterator, Set
from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from clew.fields import SERVICE_NAME
from clew_collector.model import SHARED_SPAN_ID, SPAN_KINDS
from clew_collector.wire.attributes import ValueType as V
from clew_collector.wire.json_texts import with_json_texts

_SERVER, _CLIENT, _PRODUCER, _CONSUMER = map(SPAN_KINDS.index, ("server", "client", "producer", "consumer"))
_OK, _ERROR = 1, 2
_RAW: Final = f"({V.BOOL}, {V.INT}, {V.ARRAY}, {V.MAP})"

_PIECE_ROWS: Final = 16_384

_COLUMNS: Final = """
    start_ns, end_ns, service, name, kind, status, status_message, trace_id, span_id, parent_span_id, scope,
    attribute_keys, attribute_texts, attribute_types, resource_keys, resource_texts, resource_types, events,
    payload_id, position"""

MACROS: Final = (
    "CREATE OR REPLACE MACRO quoted(text) AS to_json(text)::VARCHAR",
    "CREATE OR REPLACE MACRO text_of(keys, texts, key) AS texts[list_position(keys, key)]",
    # NULL where there is none. Not `nullif(array_to_string(..), '')`, which evaluates the list twice, and those in it
    # again and again: 87 us a span instead of 8.
    "CREATE OR REPLACE MACRO fields(list) AS list_aggregate(list, 'string_agg', ',')",
    r"""CREATE OR REPLACE MACRO address(text) AS
        CASE WHEN regexp_full_match(text, '\d{1,3}(\.\d{1,3}){3}|[0-9a-fA-F:]*:[0-9a-fA-F:.]*') THEN text END""",
    r"CREATE OR REPLACE MACRO host_name(text) AS CASE WHEN address(text) IS NULL THEN nullif(text, '') END",
    "CREATE OR REPLACE MACRO port(text) AS nullif(try_cast(text AS USMALLINT), 0)",
    # An ID of 64 bits has zeroes before it in OTLP, and in Zipkin none.
    f"""CREATE OR REPLACE MACRO trace_text(id) AS
        CASE WHEN starts_with(hex(id), '{"0" * 16}') THEN lower(hex(id))[17:] ELSE lower(hex(id)) END""",
    """CREATE OR REPLACE MACRO endpoint(service, address, port) AS '{' || fields([
        '"serviceName":' || quoted(service),
        CASE WHEN contains(address, ':') THEN '"ipv6":"' ELSE '"ipv4":"' END || address || '"',
        '"port":' || port]) || '}'""",
    f"""CREATE OR REPLACE MACRO json_value(text, type) AS CASE WHEN type IN {_RAW} THEN text ELSE quoted(text) END""",
    """CREATE OR REPLACE MACRO json_fields(keys, texts, types) AS array_to_string(list_transform(
        keys, lambda k, i: quoted(k) || ':' || json_value(texts[i], types[i])), ',')""",
    """CREATE OR REPLACE MACRO annotation(e) AS '{"timestamp":' || e.time_ns // 1000 || ',"value":' || quoted(
        CASE WHEN len(e.attribute_keys) = 0 THEN e.name
        ELSE quoted(e.name) || ':{' || json_fields(e.attribute_keys, e.attribute_texts, e.attribute_types) || '}' END)
        || '}'""",
    """CREATE OR REPLACE MACRO exception_text(e) AS nullif(concat_ws(': ',
        nullif(text_of(e.attribute_keys, e.attribute_texts, 'exception.type'), ''),
        nullif(text_of(e.attribute_keys, e.attribute_texts, 'exception.message'), '')), '')""",
    "CREATE OR REPLACE MACRO exceptions(events) AS list_filter(events, lambda e: e.name = 'exception')",
)

_WITH_OWN_IDS: Final = "SELECT *, span_id AS id, parent_span_id AS parent_id, false AS shared FROM ({spans})"

# The server's half of a shared span goes out under its caller's ID again, with its caller's parent; its children name
# that ID as their parent. Both are found in the batch: a payload is never in two.
_WITH_SHARED_IDS: Final = f"""
WITH numbered AS MATERIALIZED (
    SELECT *, row_number() OVER () AS n, text_of(attribute_keys, attribute_texts, '{SHARED_SPAN_ID}') AS shared_text,
        CASE WHEN regexp_full_match(shared_text, '[0-9a-f]{{{{16}}}}') THEN unhex(shared_text) END AS shared_id
    FROM ({{spans}})),
halves AS (
    SELECT trace_id, span_id, any_value(shared_id) AS caller_id
    FROM numbered WHERE shared_id IS NOT NULL GROUP BY ALL),
moved AS MATERIALIZED (
    SELECT numbered.*, coalesce(halves.caller_id, numbered.parent_span_id) AS moved_to
    FROM numbered LEFT JOIN halves
        ON numbered.trace_id = halves.trace_id AND numbered.parent_span_id = halves.span_id),
callers AS (
    SELECT trace_id, span_id, any_value(moved_to) AS parent_id
    FROM moved WHERE shared_id IS NULL AND kind IN ({_CLIENT}, {_PRODUCER}) GROUP BY ALL)
SELECT moved.* EXCLUDE (n, shared_text, shared_id, moved_to), coalesce(shared_id, moved.span_id) AS id,
    CASE WHEN shared_id IS NULL THEN moved_to ELSE callers.parent_id END AS parent_id, shared_id IS NOT NULL AS shared
FROM moved LEFT JOIN callers ON moved.trace_id = callers.trace_id AND moved.shared_id = callers.span_id
ORDER BY n"""


_NONE: Final = "NULL::VARCHAR"
_PEER_NAMES: Final = ("net.peer.name", "server.socket.domain", "net.sock.peer.name", "peer.hostname")
_PEER_SYSTEMS: Final = ("db.namespace", "db.name", "db.system.name", "db.system", "messaging.system")
# What an endpoint says, and what Zipkin has a field for, is not said again in a tag: when that is so, by key.
_TAKEN: Final = {
    SHARED_SPAN_ID: "true",
    "peer.service": "remote_service = {text}",
    "network.peer.address": "remote_address = {text}",
    "network.peer.port": "remote_port = port({text})",
    "network.local.address": "local_address = {text}",
    "network.local.port": "local_port = port({text})",
    "otel.status_code": f"status IN ({_OK}, {_ERROR})",
    "error": f"status = {_ERROR} OR lower({{text}}) = 'false'",
}


class _Spans:
    """SQL about spans of which some have these attributes, and none has another.

    A statement names some thirty keys and spans have a few of them. To look for one that nobody has takes as long as
    to find one: of 4.5 us a span, 0.9.
    """

    def __init__(self, keys: Set[str]) -> None:
        self._keys = keys

    def _first(self, *keys: str) -> str:
        """The first text of these keys that is there and not empty, as arguments of `coalesce`."""
        present = [key for key in keys if key in self._keys]
        return ", ".join(f"nullif(text_of(attribute_keys, attribute_texts, '{key}'), '')" for key in present) or _NONE

    def with_endpoints(self, spans: str) -> str:
        """Columns about the endpoints of both sides, and `taken`: the keys that are no tags."""
        first = self._first
        return f"""
SELECT *,
    kind IN ({_CLIENT}, {_PRODUCER}, {_CONSUMER}) AS is_caller,
    coalesce({first("peer.service")}, CASE WHEN is_caller THEN coalesce(
        host_name({first("server.address")}), {first(*_PEER_NAMES, *_PEER_SYSTEMS)}) END) AS remote_service,
    coalesce(
        CASE WHEN kind = {_SERVER} THEN address({first("client.address")}) END,
        address({first("network.peer.address")}), address({first("net.sock.peer.addr")}),
        CASE WHEN is_caller THEN address({first("server.address")}) END) AS remote_address,
    coalesce(
        port({first("network.peer.port")}), port({first("net.sock.peer.port")}),
        CASE WHEN is_caller THEN port({first("server.port")}) END) AS remote_port,
    coalesce(
        address({first("network.local.address")}), address({first("net.sock.host.addr")}),
        CASE WHEN kind = {_SERVER} THEN address({first("server.address")}) END) AS local_address,
    coalesce(
        port({first("network.local.port")}), port({first("net.sock.host.port")}),
        CASE WHEN kind = {_SERVER} THEN port({first("server.port")}) END) AS local_port,
    {self._taken()} AS taken
FROM ({spans})"""

    def _taken(self) -> str:
        taken = {key: when.format(text=self._first(key)) for key, when in _TAKEN.items() if key in self._keys}
        cases = ", ".join(f"CASE WHEN {when} THEN '{key}' END" for key, when in taken.items())
        return f"[{cases}]::VARCHAR[]"

    def tags(self) -> str:
        """What is in the braces after "tags"."""
        # Zipkin's pages show a span as failed that has a tag `error`, whatever it says, and show what it says.
        error = f"""coalesce(nullif(status_message, ''), exception_text(exceptions(events)[-1]),
            {self._first("error", "error.type")}, 'true')"""
        return f"""fields([
    fields(list_transform(resource_keys, lambda k, i: CASE
        WHEN k = '{SERVICE_NAME}' OR list_contains(attribute_keys, k) THEN NULL
        ELSE quoted(k) || ':' || quoted(resource_texts[i]) END)),
    fields(list_transform(attribute_keys, lambda k, i: CASE
        WHEN list_contains(taken, k) THEN NULL ELSE quoted(k) || ':' || quoted(attribute_texts[i]) END)),
    '"otel.scope.name":' || quoted(nullif(scope, '')),
    CASE status WHEN {_OK} THEN '"otel.status_code":"OK"'
        WHEN {_ERROR} THEN '"otel.status_code":"ERROR","error":' || quoted({error}) END])"""


_KIND: Final = f"""CASE kind WHEN {_SERVER} THEN '"SERVER"' WHEN {_CLIENT} THEN '"CLIENT"'
    WHEN {_PRODUCER} THEN '"PRODUCER"' WHEN {_CONSUMER} THEN '"CONSUMER"' END"""


def _json_of(keys: Set[str], spans: str) -> str:
    """The statement for a SELECT of spans that have these attributes at most."""
    about = _Spans(keys)
    with_ids = (_WITH_SHARED_IDS if SHARED_SPAN_ID in keys else _WITH_OWN_IDS).format(spans=spans)
    # `concat` leaves out what is NULL.
    return f"""
SELECT CASE WHEN trace_id IS NOT NULL AND id IS NOT NULL THEN concat(
    '{{"traceId":"', trace_text(trace_id), '","id":"', lower(hex(id)), '"',
    ',"parentId":"' || lower(hex(parent_id)) || '"',
    CASE WHEN shared THEN ',"shared":true' END,
    ',"kind":' || {_KIND},
    ',"name":' || quoted(nullif(name, '')),
    ',"timestamp":' || nullif(start_ns // 1000, 0),
    ',"duration":' || CASE WHEN end_ns IS NOT NULL THEN greatest((end_ns - start_ns) // 1000, 1) END,
    ',"localEndpoint":' || endpoint(service, local_address, local_port),
    ',"remoteEndpoint":' || endpoint(remote_service, remote_address, remote_port),
    ',"annotations":[' || fields(list_transform(events, lambda e: annotation(e))) || ']',
    ',"tags":{{' || {about.tags()} || '}}',
    '}},') END AS json, payload_id, position
FROM ({about.with_endpoints(with_ids)})"""


def encode_v2_json(
    connection: duckdb.DuckDBPyConnection, select: str, *, keys: Set[str] | None = None
) -> Iterator[pa.Table]:
    """Columns `json`, `payload_id` and `position` for a SELECT of spans with numbers; a row a span, in its order.

    Comes in pieces, so that one can be sent while the next is made. `json` has a comma after each span, and is NULL
    for one without an ID: Zipkin takes none. The connection has `MACROS`, and what the SELECT reads. Encoded again, the
    same rows are equal byte by byte. With `keys`, no span has other attributes, and none of them is an array or a map.
    """
    spans = f"SELECT {_COLUMNS} FROM ({select})"
    if keys is None:
        table = with_json_texts(connection.sql(spans).to_arrow_table())
        keys = set(pc.unique(table.column("attribute_keys").combine_chunks().flatten()).to_pylist())
        connection.register("spans", table)
        spans = "FROM spans"
    try:
        # One statement for all pieces: DuckDB needs 15 ms to make a plan of it.
        for piece in connection.sql(_json_of(keys, spans)).to_arrow_reader(_PIECE_ROWS):
            yield pa.Table.from_batches([piece])
    finally:
        connection.unregister("spans")
