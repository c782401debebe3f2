"""OTLP payloads as bytes: checking them, counting their records, and turning them into nested Arrow tables."""

from typing import Any, Final

import pyarrow as pa
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from ptars import HandlerPool

from clew_collector.errors import BadPayload
from clew_collector.model import Signal

REQUESTS: Final[dict[Signal, type[Message]]] = {
    "logs": ExportLogsServiceRequest,
    "traces": ExportTraceServiceRequest,
}
"""The protobuf message that a sender of each signal posts."""

_pool = HandlerPool([message.DESCRIPTOR.file for message in REQUESTS.values()])
_handlers = {signal: _pool.get_for_message(message.DESCRIPTOR) for signal, message in REQUESTS.items()}


def parse(signal: Signal, body: bytes) -> Message:
    """The protobuf message in a body. Raises `BadPayload` if the bytes are not one."""
    message = REQUESTS[signal]
    try:
        return message.FromString(body)
    except DecodeError as error:
        raise BadPayload(f"not an OTLP {message.DESCRIPTOR.name}: {_reason(error)}") from error


def count_records(request: Message) -> int:
    """How many log records or spans a parsed request holds; costs a step for each scope, not for each record."""
    if isinstance(request, ExportLogsServiceRequest):
        return sum(len(scope.log_records) for group in request.resource_logs for scope in group.scope_logs)
    if isinstance(request, ExportTraceServiceRequest):
        return sum(len(scope.spans) for group in request.resource_spans for scope in group.scope_spans)
    raise TypeError(f"not an OTLP export request: {type(request).__name__}")


def decode(signal: Signal, bodies: list[bytes]) -> pa.Table:
    """Bodies as one nested Arrow table, a row a body, columns as in the protobuf message.

    Holds the GIL while it runs, about 2 us a record. Raises `BadPayload` if any body cannot be read: the caller
    splits the list to find which.
    """
    handler: Any = _handlers[signal]
    try:
        return pa.Table.from_batches([handler.list_to_record_batch(bodies)])
    except (ValueError, pa.ArrowInvalid) as error:
        raise BadPayload(f"not OTLP {signal}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    return str(error).rpartition(": ")[2] or type(error).__name__
