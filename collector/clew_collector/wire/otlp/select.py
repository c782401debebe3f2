"""SQL that flattens a nested OTLP table into the columns of `logs` and `spans`.

Each statement reads a table named `batch` (see `payload.decode`) and needs the macros defined first. No Python runs
once a record: DuckDB flattens about 150,000 a second on one thread.
"""

from typing import Final

from clew.fields import CORRELATION_ID, SERVICE_NAME
from clew_collector.model import Signal
from clew_collector.wire.attributes import ValueType as V
from clew_collector.wire.otlp.payload import UNKNOWN_SERVICE

_MAX_TIME_NS = 2**63 - 2

MACROS: Final = (
    # A time is unsigned on the wire and signed in every store; what does not fit is the last moment there is.
    f"CREATE OR REPLACE MACRO to_time_ns(t) AS least(t, {_MAX_TIME_NS})::BIGINT",
    # An ID of zeroes or of another length is no ID (opentelemetry-proto, trace.proto).
    """CREATE OR REPLACE MACRO to_trace_id(b) AS
        CASE WHEN octet_length(b) = 16 AND b <> repeat('\\x00', 16)::BLOB THEN b END""",
    """CREATE OR REPLACE MACRO to_span_id(b) AS
        CASE WHEN octet_length(b) = 8 AND b <> repeat('\\x00', 8)::BLOB THEN b END""",
    """CREATE OR REPLACE MACRO base64_items(blobs) AS
        array_to_string(list_transform(blobs, lambda i: to_base64(i) || ','), '')""",
    """CREATE OR REPLACE MACRO scalar_text(v) AS coalesce(
        v.string_value, v.int_value::VARCHAR, v.double_value::VARCHAR, v.bool_value::VARCHAR, to_base64(v.bytes_value),
        base64_items(v.array_value.values))""",
    """CREATE OR REPLACE MACRO value_text(v) AS coalesce(
        scalar_text(v), base64_items(v.kvlist_value.values), '')""",
    # The decoder opens maps one level deeper in a log's body than in an attribute.
    """CREATE OR REPLACE MACRO body_text(v) AS coalesce(
        scalar_text(v),
        array_to_string(list_transform(
            v.kvlist_value.values,
            lambda i: to_base64(encode(i.key)) || ':' || coalesce(to_base64(i.value), '') || ','), ''),
        '')""",
    f"""CREATE OR REPLACE MACRO value_type(v) AS (CASE
        WHEN v.string_value IS NOT NULL THEN {V.STRING}
        WHEN v.int_value IS NOT NULL THEN {V.INT}
        WHEN v.bool_value IS NOT NULL THEN {V.BOOL}
        WHEN v.double_value IS NOT NULL THEN {V.DOUBLE}
        WHEN v.array_value IS NOT NULL THEN {V.ARRAY}
        WHEN v.kvlist_value IS NOT NULL THEN {V.MAP}
        WHEN v.bytes_value IS NOT NULL THEN {V.BYTES}
        ELSE {V.EMPTY} END)::UTINYINT""",
    f"""CREATE OR REPLACE MACRO body_type(v) AS
        (CASE WHEN v.kvlist_value IS NOT NULL THEN {V.MAP_ENTRIES} ELSE value_type(v) END)::UTINYINT""",
    "CREATE OR REPLACE MACRO attribute_keys(a) AS list_transform(a, lambda i: i.key)",
    "CREATE OR REPLACE MACRO attribute_texts(a) AS list_transform(a, lambda i: value_text(i.value))",
    "CREATE OR REPLACE MACRO attribute_types(a) AS list_transform(a, lambda i: value_type(i.value))",
    "CREATE OR REPLACE MACRO string_attribute(a, name) AS list_filter(a, lambda i: i.key = name)[1].value.string_value",
)

_RESOURCE = f"""
    coalesce(nullif(string_attribute(r.resource.attributes, '{SERVICE_NAME}'), ''), '{UNKNOWN_SERVICE}') AS service,
    attribute_keys(r.resource.attributes) AS resource_keys,
    attribute_texts(r.resource.attributes) AS resource_texts,
    attribute_types(r.resource.attributes) AS resource_types"""


def select_logs(carried: str = "") -> str:
    """A statement for log records; each takes `carried` along from its payload, columns with a comma before each."""
    return f"""
SELECT
    to_time_ns(CASE WHEN l.time_unix_nano > 0 THEN l.time_unix_nano
                    WHEN l.observed_time_unix_nano > 0 THEN l.observed_time_unix_nano
                    ELSE epoch_us(now()) * 1000 END) AS time_ns,
    CASE WHEN l.observed_time_unix_nano > 0 AND l.time_unix_nano > 0
         THEN to_time_ns(l.observed_time_unix_nano) - to_time_ns(l.time_unix_nano) END AS observed_delay_ns,
    least(greatest(l.severity_number, 0), 255)::UTINYINT AS severity_number,
    l.severity_text AS severity_text,
    service,
    body_text(l.body) AS body,
    body_type(l.body) AS body_type,
    to_trace_id(l.trace_id) AS trace_id,
    to_span_id(l.span_id) AS span_id,
    nullif(string_attribute(l.attributes, '{CORRELATION_ID}'), '') AS correlation_id,
    attribute_keys(l.attributes) AS attribute_keys,
    attribute_texts(l.attributes) AS attribute_texts,
    attribute_types(l.attributes) AS attribute_types,
    resource_keys, resource_texts, resource_types,
    scope,
    l.event_name AS event_name{carried}
FROM (
    SELECT * EXCLUDE (s), s.scope.name AS scope, unnest(s.log_records) AS l
    FROM (SELECT {_RESOURCE}, unnest(r.scope_logs) AS s{carried}
          FROM (SELECT unnest(resource_logs) AS r{carried} FROM batch))
)"""


def select_spans(carried: str = "") -> str:
    """A statement for spans; see `select_logs`."""
    return f"""
SELECT
    to_time_ns(p.start_time_unix_nano) AS start_ns,
    CASE WHEN p.end_time_unix_nano > 0 THEN to_time_ns(p.end_time_unix_nano) END AS end_ns,
    service,
    p.name AS name,
    least(greatest(p.kind, 0), 255)::UTINYINT AS kind,
    least(greatest(coalesce(p.status.code, 0), 0), 255)::UTINYINT AS status,
    coalesce(p.status.message, '') AS status_message,
    to_trace_id(p.trace_id) AS trace_id,
    to_span_id(p.span_id) AS span_id,
    to_span_id(p.parent_span_id) AS parent_span_id,
    nullif(string_attribute(p.attributes, '{CORRELATION_ID}'), '') AS correlation_id,
    attribute_keys(p.attributes) AS attribute_keys,
    attribute_texts(p.attributes) AS attribute_texts,
    attribute_types(p.attributes) AS attribute_types,
    resource_keys, resource_texts, resource_types,
    list_transform(p.events, lambda e: {{
        'time_ns': to_time_ns(e.time_unix_nano), 'name': e.name, 'attribute_keys': attribute_keys(e.attributes),
        'attribute_texts': attribute_texts(e.attributes), 'attribute_types': attribute_types(e.attributes)}}) AS events,
    list_transform(p.links, lambda k: {{
        'trace_id': k.trace_id, 'span_id': k.span_id, 'attribute_keys': attribute_keys(k.attributes),
        'attribute_texts': attribute_texts(k.attributes), 'attribute_types': attribute_types(k.attributes)}}) AS links,
    scope,
    p.trace_state AS trace_state,
    p.flags AS flags{carried}
FROM (
    SELECT * EXCLUDE (s), s.scope.name AS scope, unnest(s.spans) AS p
    FROM (SELECT {_RESOURCE}, unnest(r.scope_spans) AS s{carried}
          FROM (SELECT unnest(resource_spans) AS r{carried} FROM batch))
)"""


SELECTS: Final[dict[Signal, str]] = {"logs": select_logs(), "traces": select_spans()}
"""One statement a signal; its columns, in order, are those of the stores' tables."""
