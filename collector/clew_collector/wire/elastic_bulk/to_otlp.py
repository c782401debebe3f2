"""Documents as an OTLP logs request: ECS (https://www.elastic.co/docs/reference/ecs), Filebeat's, and plain ones."""

from collections.abc import Mapping
from datetime import UTC
from typing import Any, Final

import orjson
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ScopeLogs

from clew import fields as names
from clew_collector.wire.attributes import fill_value
from clew_collector.wire.elastic_bulk.document import decode_document, flatten, too_deep
from clew_collector.wire.elastic_bulk.field_ids import IdFields
from clew_collector.wire.lines.ids import ids_of_fields
from clew_collector.wire.lines.line import Reading
from clew_collector.wire.lines.severity import severity_of
from clew_collector.wire.lines.timestamp import field_time_ns

SCOPE: Final = "elasticsearch"
INDEX: Final = "elasticsearch.index"
DOCUMENT_ID: Final = "elasticsearch.id"
UNUSABLE_CORRELATION_ID: Final = f"labels.{names.CORRELATION_ID}"

# The best first; of the others that are there, each stays an attribute.
_BODIES: Final = ("message", "log", "msg", "body", "event.original")
_TIMES: Final = ("@timestamp", "timestamp", "time")
_LEVELS: Final = ("log.level", "level", "severity", "loglevel", "levelname", "lvl", "log.syslog.severity.name")

_RESOURCE: Final = frozenset(
    ("service", "host", "agent", "container", "cloud", "kubernetes", "orchestrator", "ecs"),
)
"""Groups of fields that say who wrote a document: the same in a thousand of them."""
_SERVICES: Final = (names.SERVICE_NAME, "kubernetes.container.name", "container.name")

_RENAMED: Final[Mapping[str, str]] = {
    "error.type": names.EXCEPTION_TYPE,
    "error.message": names.EXCEPTION_MESSAGE,
    "error.stack_trace": names.EXCEPTION_STACKTRACE,
    "log.origin.file.name": "code.file.path",
    "log.origin.file.line": "code.line.number",
    "log.origin.function": "code.function.name",
    "service.environment": names.DEPLOYMENT_ENVIRONMENT,
    "service.node.name": names.SERVICE_INSTANCE_ID,
    # Plain documents have a name where ECS has an object.
    "service": names.SERVICE_NAME,
    "host": "host.name",
}
"""ECS names whose meaning has another name in OpenTelemetry."""


class DocumentsRequest:
    """An OTLP logs request in the making; its records are grouped by who wrote them, in order within each.

    A time without a zone is in UTC, as in Elasticsearch.
    """

    def __init__(self, *, received_ns: int, ids_in_text: bool = False) -> None:
        self.records = 0
        self._reading = Reading(received_ns=received_ns, zone=UTC, ids_in_text=ids_in_text)
        self._request = ExportLogsServiceRequest()
        self._scopes: dict[bytes, ScopeLogs] = {}
        self._id_fields = IdFields()

    def add(self, document: bytes, *, index: str, id: str | None = None) -> None:
        """Add a record for a document; raises `BadDocument`, and the request is as it was."""
        form = decode_document(document)
        resource = {key: form.pop(key) for key in tuple(form) if _is_of_resource(key, form[key])}
        fields = flatten(form)
        scope = self._scope(resource)
        self._fill(scope.log_records.add(), fields, index, id)
        self.records += 1

    @property
    def message(self) -> ExportLogsServiceRequest:
        """The request."""
        return self._request

    def _scope(self, resource: dict[str, Any]) -> ScopeLogs:
        key = _key_of(resource)
        scope = self._scopes.get(key)
        if scope is None:
            fields = flatten(resource)
            group = self._request.resource_logs.add()
            _set_all(group.resource.attributes, _with_service(fields))
            scope = self._scopes[key] = group.scope_logs.add()
            scope.scope.name = SCOPE
        return scope

    def _fill(self, log: LogRecord, fields: dict[str, Any], index: str, id: str | None) -> None:
        log.observed_time_unix_nano = self._reading.received_ns
        log.time_unix_nano = self._take_time(fields) or 0
        body = _take_body(fields)
        if body is not None:
            fill_value(log.body, body)
        _take_level(log, fields)
        self._take_ids(log, fields, body)
        fields[INDEX] = index
        if id is not None:
            fields[DOCUMENT_ID] = id
        _set_all(log.attributes, fields)

    def _take_time(self, fields: dict[str, Any]) -> int | None:
        """The time of a document; one that cannot be read stays an attribute."""
        for name in _TIMES:
            value = fields.get(name)
            if value is not None and (time_ns := field_time_ns(value, self._reading)) is not None:
                del fields[name]
                return time_ns
        return None

    def _take_ids(self, log: LogRecord, fields: dict[str, Any], body: Any) -> None:
        text = body if self._reading.ids_in_text and isinstance(body, str) else None
        ids = ids_of_fields(self._id_fields.among(fields), text)
        log.trace_id = ids.trace_id
        log.span_id = ids.span_id
        self._id_fields.remove(fields, (ids.trace_id.hex(), ids.span_id.hex(), ids.correlation_id))
        # The store joins lines by this attribute: a value like "-" would make one request of all that have it.
        if (unusable := fields.pop(names.CORRELATION_ID, None)) is not None:
            fields[UNUSABLE_CORRELATION_ID] = unusable
        if ids.correlation_id:
            fields[names.CORRELATION_ID] = ids.correlation_id


def _is_of_resource(key: str, value: Any) -> bool:
    """Whether a field belongs to those who wrote a document; an access log's `agent` is a browser, and text."""
    group, dot, _ = key.partition(".")
    return group in _RESOURCE and (dot != "" or type(value) is dict or key in _RENAMED)


def _key_of(resource: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(resource)
    except orjson.JSONEncodeError as error:  # it goes less deep than its parser
        raise too_deep() from error


def _take_body(fields: dict[str, Any]) -> Any:
    return next((fields.pop(name) for name in _BODIES if name in fields), None)


def _take_level(log: LogRecord, fields: dict[str, Any]) -> None:
    for name in _LEVELS:
        level = fields.get(name)
        known = severity_of(level)
        if known is not None:
            log.severity_number, log.severity_text = known  # type: ignore[assignment]
        elif isinstance(level, str):
            log.severity_text = level
        else:
            continue
        del fields[name]
        return


def _with_service(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of a resource by OpenTelemetry's names, with the best name for the service that there is."""
    renamed = {_RENAMED.get(key, key): value for key, value in fields.items()}
    service = next((renamed[name] for name in _SERVICES if isinstance(renamed.get(name), str)), None)
    return renamed if service is None else {names.SERVICE_NAME: service, **renamed}


def _set_all(attributes: Any, fields: Mapping[str, Any]) -> None:
    for key, value in fields.items():
        target: KeyValue = attributes.add(key=_RENAMED.get(key, key))
        if type(value) is str:
            target.value.string_value = value
        else:
            fill_value(target.value, value)
