"""Documents as shippers write them; a test names only the fields it is about."""

from typing import Any

import orjson
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from clew_collector.model import Value
from clew_collector.wire.attributes import plain_value
from clew_collector.wire.elastic_bulk.to_otlp import DocumentsRequest

INDEX = "logs-orders-default"
RECEIVED_NS = 1_800_000_000_000_000_000
TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"

FILEBEAT: dict[str, Any] = {
    "@timestamp": "2026-09-21T12:13:20.123Z",
    "message": "no stock",
    "log": {"offset": 120, "level": "warn", "file": {"path": "/var/log/orders.log"}},
    "input": {"type": "filestream"},
    "ecs": {"version": "8.0.0"},
    "host": {"name": "web1", "ip": ["10.0.0.1", "fe80::1"], "os": {"platform": "ubuntu"}, "containerized": False},
    "agent": {"type": "filebeat", "version": "9.2.0", "name": "web1"},
    "fields": {"team": "shop"},
    "tags": ["a", "b"],
}


def request_of(*documents: dict[str, Any], ids_in_text: bool = False) -> ExportLogsServiceRequest:
    """Documents as one request."""
    request = DocumentsRequest(received_ns=RECEIVED_NS, ids_in_text=ids_in_text)
    for document in documents:
        request.add(orjson.dumps(document), index=INDEX)
    return request.message


def log_of(document: dict[str, Any], *, ids_in_text: bool = False) -> LogRecord:
    """The record that a document becomes."""
    [group] = request_of(document, ids_in_text=ids_in_text).resource_logs
    return group.scope_logs[0].log_records[0]


def resource_of(document: dict[str, Any]) -> dict[str, Value]:
    """Who wrote a document."""
    [group] = request_of(document).resource_logs
    return {each.key: plain_value(each.value) for each in group.resource.attributes}


def attributes_of(log: LogRecord) -> dict[str, Value]:
    """A record's attributes but the index, which all have; none may be there twice."""
    attributes = {each.key: plain_value(each.value) for each in log.attributes}
    assert len(attributes) == len(log.attributes), "an attribute is there twice"
    assert attributes.pop("elasticsearch.index") == INDEX
    return attributes


def bulk(*documents: Any, action: str = '{"create":{"_index":"logs"}}') -> bytes:
    """A body that gives each document the same action; text goes as it is."""
    lines = (each.encode() if isinstance(each, str) else orjson.dumps(each) for each in documents)
    return b"".join(action.encode() + b"\n" + line + b"\n" for line in lines)
