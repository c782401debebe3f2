"""OTLP payloads as bytes: checking them, counting their records, and turning them into nested Arrow tables."""

from collections.abc import Iterable
from typing import Any, Final

import pyarrow as pa
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from ptars import HandlerPool

from clew.fields import SERVICE_NAME
from clew_collector.errors import BadPayload
from clew_collector.model import Signal

REQUESTS: Final[dict[Signal, type[Message]]] = {
    "logs": ExportLogsServiceRequest,
    "traces": ExportTraceServiceRequest,
}
"""The protobuf message that a sender of each signal posts."""

UNKNOWN_SERVICE: Final = "unknown_service"

_pool = HandlerPool([message.DESCRIPTOR.file for message in REQUESTS.values()])
_handlers = {signal: _pool.get_for_message(message.DESCRIPTOR) for signal, message in REQUESTS.items()}


def parse(signal: Signal, body: bytes) -> Message:
    """The protobuf message in a body. Raises `BadPayload` if the bytes are not one."""
    message = REQUESTS[signal]
    try:
        return message.FromString(body)
    except DecodeError as error:
        raise BadPayload(f"not an OTLP {message.DESCRIPTOR.name}: {_reason(error)}") from error


def count_by_service(request: Message) -> dict[str, int]:
    """How many log records or spans of a parsed request each service wrote.

    Costs a step for each resource and scope, not for each record. A resource without a name counts as
    `unknown_service`, as in the store.
    """
    counts: dict[str, int] = {}
    is_logs = isinstance(request, ExportLogsServiceRequest)
    for group in request.resource_logs if is_logs else request.resource_spans:  # type: ignore[attr-defined]
        scopes = group.scope_logs if is_logs else group.scope_spans
        records = sum(len(scope.log_records if is_logs else scope.spans) for scope in scopes)
        if records:
            service = _service_of(group.resource.attributes)
            counts[service] = counts.get(service, 0) + records
    return counts


def count_records(request: Message) -> int:
    """How many log records or spans a parsed request holds."""
    return sum(count_by_service(request).values())


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


def _service_of(attributes: Iterable[KeyValue]) -> str:
    names = (attribute.value.string_value for attribute in attributes if attribute.key == SERVICE_NAME)
    return next(names, "") or UNKNOWN_SERVICE
