"""Lines of files as an OTLP logs request."""

from collections.abc import Mapping
from typing import Final

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ScopeLogs

from clew.fields import CORRELATION_ID, SERVICE_NAME
from clew_collector.model import record
from clew_collector.wire.attributes import fill_value
from clew_collector.wire.lines.line import DecodedLine

FILE_PATH: Final = "log.file.path"
FILE_NAME: Final = "log.file.name"
SCOPE: Final = "tail"
"""The scope of lines that name no logger."""


@record
class Origin:
    """Where lines come from; `service` is that of lines that name none. `attributes` are those of the resource."""

    path: str
    name: str
    service: str
    attributes: Mapping[str, str]


class LinesRequest:
    """An OTLP logs request in the making; its records are grouped by service and logger, in order within each."""

    def __init__(self) -> None:
        self.message = ExportLogsServiceRequest()
        self._scopes: dict[tuple[str, str, int], ScopeLogs] = {}

    def add(self, line: DecodedLine, origin: Origin, *, received_ns: int) -> None:
        """Add a record for a line."""
        log = self._scope(line, origin).log_records.add(
            observed_time_unix_nano=received_ns,
            time_unix_nano=line.time_ns or 0,
            severity_number=line.severity_number,
            severity_text=line.severity_text,
            trace_id=line.ids.trace_id,
            span_id=line.ids.span_id,
        )
        log.body.string_value = line.body
        _set_text(log, FILE_PATH, origin.path)
        _set_text(log, FILE_NAME, origin.name)
        if line.ids.correlation_id:
            _set_text(log, CORRELATION_ID, line.ids.correlation_id)
        for key, value in line.attributes.items():
            if type(value) is str:
                _set_text(log, key, value)
            else:
                fill_value(log.attributes.add(key=key).value, value)

    def _scope(self, line: DecodedLine, origin: Origin) -> ScopeLogs:
        key = (line.service or origin.service, line.logger or SCOPE, id(origin.attributes))
        scope = self._scopes.get(key)
        if scope is None:
            group = self.message.resource_logs.add()
            named = {SERVICE_NAME: key[0]} if key[0] else {}
            for name, value in {**origin.attributes, **named}.items():
                group.resource.attributes.add(key=name).value.string_value = value
            scope = self._scopes[key] = group.scope_logs.add()
            scope.scope.name = key[1]
        return scope


def _set_text(log: LogRecord, key: str, value: str) -> None:
    log.attributes.add(key=key).value.string_value = value
