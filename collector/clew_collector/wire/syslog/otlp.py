"""Syslog messages as an OTLP logs request, by the OpenTelemetry logs data model (appendices A and B)."""

from collections.abc import Iterable
from datetime import tzinfo
from itertools import chain
from typing import Final

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ScopeLogs, SeverityNumber

from clew.fields import CORRELATION_ID, SERVICE_NAME
from clew_collector.model import record
from clew_collector.wire.ids import find_ids, pairs_in_text
from clew_collector.wire.syslog.message import SyslogMessage, decode_message

SCOPE: Final = "syslog"
HOST_NAME: Final = "host.name"
PROCESS_ID: Final = "process.pid"
FACILITY: Final = "syslog.facility"
FACILITY_NAME: Final = "syslog.facility_name"
PROCID: Final = "syslog.procid"
MSGID: Final = "syslog.msgid"
UNREADABLE_TIME: Final = "syslog.timestamp"
STRUCTURED_DATA: Final = "syslog.structured_data"

FACILITIES: Final = (
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp"),
    *("ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"),
)
"""Indexed by number; names as in syslog.conf(5), 12 to 15 after RFC 5424, table 1."""

SEVERITIES: Final = (
    (SeverityNumber.SEVERITY_NUMBER_FATAL, "emerg"),
    (SeverityNumber.SEVERITY_NUMBER_ERROR3, "alert"),
    (SeverityNumber.SEVERITY_NUMBER_ERROR2, "crit"),
    (SeverityNumber.SEVERITY_NUMBER_ERROR, "err"),
    (SeverityNumber.SEVERITY_NUMBER_WARN, "warning"),
    (SeverityNumber.SEVERITY_NUMBER_INFO2, "notice"),
    (SeverityNumber.SEVERITY_NUMBER_INFO, "info"),
    (SeverityNumber.SEVERITY_NUMBER_DEBUG, "debug"),
)
"""OpenTelemetry's number (data model, appendix B) and syslog's keyword, indexed by syslog's number."""


@record
class ReceivedLine:
    """A datagram or frame as it came, when, and from which address (empty if that says nothing)."""

    data: bytes
    received_ns: int
    peer: str = ""


class LogsRequest:
    """An OTLP logs request in the making; its records are grouped by host and service, in order within each."""

    def __init__(self, *, ids_in_text: bool = False, zone: tzinfo | None = None) -> None:
        self.records = 0
        self._request = ExportLogsServiceRequest()
        self._scopes: dict[tuple[str, str], ScopeLogs] = {}
        self._ids_in_text = ids_in_text
        self._zone = zone

    def add(self, lines: Iterable[ReceivedLine]) -> None:
        """Add a record for each line; there is no line that cannot be one."""
        for line in lines:
            message = decode_message(line.data, received_ns=line.received_ns, zone=self._zone)
            scope = self._scope(message.host or line.peer, message.app)
            _fill(scope.log_records.add(), message, line.received_ns, ids_in_text=self._ids_in_text)
            self.records += 1

    @property
    def message(self) -> ExportLogsServiceRequest:
        """The request."""
        return self._request

    def _scope(self, host: str, app: str) -> ScopeLogs:
        scope = self._scopes.get((host, app))
        if scope is None:
            group = self._request.resource_logs.add()
            for key, value in ((SERVICE_NAME, app), (HOST_NAME, host)):
                if value:
                    group.resource.attributes.add(key=key).value.string_value = value
            scope = self._scopes[host, app] = group.scope_logs.add()
            scope.scope.name = SCOPE
        return scope


def _fill(log: LogRecord, message: SyslogMessage, received_ns: int, *, ids_in_text: bool) -> None:
    number, text = SEVERITIES[message.severity]
    log.observed_time_unix_nano = received_ns
    log.time_unix_nano = message.time_ns or 0
    log.severity_number = number
    log.severity_text = text
    log.body.string_value = message.body
    _set(log, FACILITY, message.facility)
    _set(log, FACILITY_NAME, FACILITIES[message.facility])
    if message.process.isdecimal() and len(message.process) < 19:
        _set(log, PROCESS_ID, int(message.process))
    elif message.process:
        _set(log, PROCID, message.process)
    if message.msgid:
        _set(log, MSGID, message.msgid)
    if message.time_text:
        _set(log, UNREADABLE_TIME, message.time_text)
    _add_structured_data(log, message)
    _add_ids(log, message, ids_in_text=ids_in_text)


def _add_structured_data(log: LogRecord, message: SyslogMessage) -> None:
    values: dict[str, list[str]] = {}
    for id, name, value in message.params:
        values.setdefault(f"{STRUCTURED_DATA}.{id}.{name}" if name else f"{STRUCTURED_DATA}.{id}", []).append(value)
    for key, texts in values.items():
        if len(texts) == 1:
            _set(log, key, texts[0])
        else:  # a parameter may be given more than once: `ip`, for a host with several
            log.attributes.add(key=key).value.array_value.values.extend(AnyValue(string_value=text) for text in texts)


def _add_ids(log: LogRecord, message: SyslogMessage, *, ids_in_text: bool) -> None:
    fields: Iterable[tuple[str, str]] = ((name, value) for _, name, value in message.params)
    if ids_in_text:
        fields = chain(fields, pairs_in_text(message.body))
    ids = find_ids(fields)
    log.trace_id = ids.trace_id
    log.span_id = ids.span_id
    if ids.correlation_id:
        _set(log, CORRELATION_ID, ids.correlation_id)


def _set(log: LogRecord, key: str, value: str | int) -> None:
    if isinstance(value, int):
        log.attributes.add(key=key).value.int_value = value
    else:
        log.attributes.add(key=key).value.string_value = value
