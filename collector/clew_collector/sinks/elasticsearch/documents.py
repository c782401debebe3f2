"""Log records and spans as ECS documents in the lines of a `_bulk` body, by SQL.

Names follow ECS 8.17 (https://www.elastic.co/docs/reference/ecs), with dots, as the ecs-logging libraries write them.
What has an ECS name is moved there; all other attributes stay under `attributes` and `resource.attributes`.
"""

from typing import Final

import orjson

from clew import fields
from clew_collector.model import SPAN_KINDS, SPAN_STATUSES, Signal, Value

_TEXTS: Final = {
    fields.HTTP_METHOD: fields.HTTP_METHOD,
    fields.URL_PATH: fields.URL_PATH,
}
_RESOURCE: Final = {
    fields.SERVICE_VERSION: fields.SERVICE_VERSION,
    fields.DEPLOYMENT_ENVIRONMENT: "service.environment",
    fields.SERVICE_INSTANCE_ID: "service.node.name",
    "host.name": "host.name",
}
_EXCEPTION: Final = {
    fields.EXCEPTION_TYPE: "error.type",
    fields.EXCEPTION_MESSAGE: "error.message",
    fields.EXCEPTION_STACKTRACE: "error.stack_trace",
}
_STATUS_CODE: Final = f"value_of(attribute_keys, attribute_texts, '{fields.HTTP_STATUS_CODE}')"
_SERVER: Final = SPAN_KINDS.index("server")
_CONSUMER: Final = SPAN_KINDS.index("consumer")
_ERROR: Final = SPAN_STATUSES.index("error")
# The lowest severity number of each range (OpenTelemetry logs data model).
_LEVELS: Final = ((21, "fatal"), (17, "error"), (13, "warn"), (9, "info"), (5, "debug"), (1, "trace"))


def _list(names: "list[str]") -> str:
    return "[" + ", ".join(f"'{name}'" for name in names) + "]"


def _text(name: str, sql: str) -> str:
    """A field with a comma before it; nothing, for `concat`, where there is no value."""
    return f"""',"{name}":' || to_json({sql})"""


def _id(name: str, sql: str) -> str:
    return f"""',"{name}":"' || hex_id({sql}) || '"'"""


def _moved(names: dict[str, str], group: str) -> list[str]:
    return [_text(ecs, f"value_of({group}_keys, {group}_texts, '{name}')") for name, ecs in names.items()]


def _level() -> str:
    cases = " ".join(f"WHEN severity_number >= {lowest} THEN '{name}'" for lowest, name in _LEVELS)
    return f"coalesce(nullif(lower(severity_text), ''), CASE {cases} END)"


def _attributes(group: str, name: str, without: list[str]) -> str:
    made = f"json_attributes({group}_keys, {group}_texts, {group}_types, {_list(without)})"
    return f"""',"{name}":' || nullif({made}, '{{}}')"""


def _nested(items: str, head: str) -> str:
    """A list of structs as JSON; `head` is what each begins with."""
    attributes = "json_attributes(e.attribute_keys, e.attribute_texts, e.attribute_types, [])"
    each = f"concat({head}, ',\"attributes\":', {attributes}, '}}')"
    return f"'[' || nullif(array_to_string(list_transform({items}, lambda e: {each}), ','), '') || ']'"


_COMMON: Final = [
    """',"service.name":' || to_json(service)""",
    *_moved(_RESOURCE, "resource"),
    _id("trace.id", "trace_id"),
    _id("span.id", "span_id"),
    _text("correlation.id", "correlation_id"),
    *_moved(_TEXTS, "attribute"),
    f"""',"{fields.HTTP_STATUS_CODE}":'
        || coalesce(try_cast({_STATUS_CODE} AS BIGINT)::VARCHAR, to_json({_STATUS_CODE}))""",
    _attributes("resource", "resource.attributes", [fields.SERVICE_NAME, *_RESOURCE]),
    _text("scope.name", "nullif(scope, '')"),
]
_LOG: Final = [
    "iso_time(time_ns), '\"'",
    """',"message":' || json_text(body, body_type)""",
    _text("log.level", _level()),
    "CASE WHEN severity_number > 0 THEN ',\"event.severity\":' || severity_number END",
    _text("event.action", "nullif(event_name, '')"),
    *_moved(_EXCEPTION, "attribute"),
    *_COMMON,
    _attributes("attribute", "attributes", [fields.CORRELATION_ID, fields.HTTP_STATUS_CODE, *_TEXTS, *_EXCEPTION]),
]
_SPAN: Final = [
    "iso_time(start_ns), '\"'",
    _text("span.name", "name"),
    f"""',"span.kind":"' || {_list(list(SPAN_KINDS))}[kind + 1] || '"'""",
    _id("parent.id", "parent_span_id"),
    # As Elastic APM has it: a service's first span of a request is a transaction.
    f"CASE WHEN parent_span_id IS NULL OR kind IN ({_SERVER}, {_CONSUMER}) THEN {_id('transaction.id', 'span_id')} END",
    "',\"event.duration\":' || greatest(end_ns - start_ns, 0)",
    f"""CASE WHEN status = {_ERROR} THEN ',"event.outcome":"failure"' ELSE ',"event.outcome":"success"' END""",
    _text(
        "error.type", f"coalesce(exception['type'], value_of(attribute_keys, attribute_texts, '{fields.ERROR_TYPE}'))"
    ),
    _text("error.message", "coalesce(exception['message'], nullif(status_message, ''))"),
    _text("error.stack_trace", "exception['stack']"),
    *_COMMON,
    _attributes("attribute", "attributes", [fields.CORRELATION_ID, fields.HTTP_STATUS_CODE, *_TEXTS]),
    "',\"span.events\":' || "
    + _nested("events", """'{"@timestamp":"', iso_time(e.time_ns), '","name":', to_json(e.name)"""),
    "',\"span.links\":' || "
    + _nested("links", """'{"trace.id":"', hex_id(e.trace_id), '","span.id":"', hex_id(e.span_id), '"'"""),
]
_FIELDS: Final[dict[Signal, list[str]]] = {"logs": _LOG, "traces": _SPAN}
_LAST_EXCEPTION: Final = """list_filter(events, lambda e: e.name = 'exception')[-1]"""
_SPAN_EXCEPTION: Final = ", ".join(
    f"'{short}': value_of(last_exception.attribute_keys, last_exception.attribute_texts, '{name}')"
    for short, name in (
        ("type", fields.EXCEPTION_TYPE),
        ("message", fields.EXCEPTION_MESSAGE),
        ("stack", fields.EXCEPTION_STACKTRACE),
    )
)


def document_id(origin: str, payload_id: int, position: int) -> str:
    """The `_id` of a record: the same however often, and in whatever company, it is sent.

    Elasticsearch keeps it in 21 bytes, as it is valid Base64; and as IDs rise, a new one is in no segment's range, so
    that none is searched for it.
    """
    return f"{origin}{payload_id:012d}{position:08d}"


def select_lines(signal: Signal, select: str, *, origin: str) -> str:
    """SQL for `payload_id`, `position` and `lines`: the two lines of a `_bulk` body that create the document."""
    if signal == "traces":
        select = f"SELECT *, {_LAST_EXCEPTION} AS last_exception FROM ({select})"
        select = f"SELECT *, {{{_SPAN_EXCEPTION}}} AS exception FROM ({select})"
    document = ",\n".join(_FIELDS[signal])
    return f"""
SELECT payload_id, position, concat(
    '{{"create":{{"_id":"{origin}', format('{{:012d}}{{:08d}}', payload_id, position), '"}}}}\n{{"@timestamp":"',
    {document},
    '}}\n') AS lines
FROM ({select})"""


def with_lists_of_one_type(value: Value) -> Value:
    """A value in which a list of mixed types is one of texts: a field has one type, that of the first item."""
    if isinstance(value, dict):
        return {key: with_lists_of_one_type(item) for key, item in value.items()}
    if not isinstance(value, list):
        return value
    if len({type(item) for item in value if item is not None}) <= 1:
        return [with_lists_of_one_type(item) for item in value]
    return [item if isinstance(item, str) else orjson.dumps(item, default=str).decode() for item in value]
