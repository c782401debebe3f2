"""Messages decoded as if received at a known moment, by a machine in a known zone."""

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from clew_collector.model import Value
from clew_collector.wire.attributes import plain_value
from clew_collector.wire.syslog.message import SyslogMessage, decode_message
from clew_collector.wire.syslog.otlp import LogsRequest, ReceivedLine

RECEIVED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
RECEIVED_NS = int(RECEIVED.timestamp()) * 10**9
ZONE = timezone(timedelta(hours=1))

_INPUTS = Path(__file__).parents[3] / "data" / "syslog" / "go-syslog-inputs.ndjson"


def decoded(line: str | bytes, *, received: datetime = RECEIVED) -> SyslogMessage:
    """A line as a message."""
    data = line.encode() if isinstance(line, str) else line
    return decode_message(data, received_ns=int(received.timestamp()) * 10**9, zone=ZONE)


def time_ns(text: str) -> int:
    """A time in ISO format as nanoseconds since the epoch."""
    moment = datetime.fromisoformat(text)
    return int(moment.timestamp()) * 10**9 + moment.microsecond * 1000


def request_of(*lines: str | bytes, ids_in_text: bool = False, peer: str = "") -> ExportLogsServiceRequest:
    """Lines as an OTLP request."""
    request = LogsRequest(ids_in_text=ids_in_text, zone=ZONE)
    request.add(ReceivedLine(line.encode() if isinstance(line, str) else line, RECEIVED_NS, peer) for line in lines)
    return request.message


def log_of(line: str | bytes, *, ids_in_text: bool = False) -> LogRecord:
    """A line as an OTLP log record."""
    return request_of(line, ids_in_text=ids_in_text).resource_logs[0].scope_logs[0].log_records[0]


def attributes_of(log: LogRecord) -> dict[str, Value]:
    """The attributes of a record, as Python values."""
    return {attribute.key: plain_value(attribute.value) for attribute in log.attributes}


def go_syslog_inputs(spec: str, *, valid: bool) -> list[str]:
    """What go-syslog's tests feed it, by what its strict parser says of it."""
    cases = map(json.loads, _INPUTS.read_text().splitlines())
    return [case["input"] for case in cases if case["spec"] == spec and case["valid"] is valid]
