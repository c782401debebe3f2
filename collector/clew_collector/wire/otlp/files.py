"""Files of OTLP payloads: JSON, JSON lines and protobuf dumps, each also as gzip.

JSON lines hold one export request a line, as the OpenTelemetry Collector's file exporter writes them; a file may
also be one JSON document. Protobuf dumps are one export request, or many with a length before each: four bytes, big
end first (the file exporter's `proto` format), or a varint (size-delimited messages).
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import IO, Final, cast

import orjson
from google.protobuf.message import Message
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from clew_collector.errors import BadPayload
from clew_collector.model import Signal
from clew_collector.wire.file_parts import BinaryPart, FilePayload, JsonPart, Refusal, read_parts
from clew_collector.wire.otlp.from_json import parse_json
from clew_collector.wire.otlp.payload import count_records, parse

__all__ = ["FORMAT", "SIGNAL_OF_KEY", "FilePayload", "Refusal", "read_json", "read_payloads", "read_protobuf"]

FORMAT: Final = "OTLP"
SIGNAL_OF_KEY: Final[dict[str, Signal]] = {
    "resourceLogs": "logs",
    "resource_logs": "logs",
    "resourceSpans": "traces",
    "resource_spans": "traces",
}
"""What an export request in JSON has at its top."""


def read_payloads(file: IO[bytes]) -> Iterator[FilePayload | Refusal]:
    """What a file of OTLP holds, in order, as far as it can be read; `file` must be seekable.

    JSON lines are read one by one, other files whole. Never raises for what is in the file.
    """
    for part in read_parts(file):
        if isinstance(part, JsonPart):
            yield read_json(part)
        elif isinstance(part, BinaryPart):
            yield from read_protobuf(part.data)
        else:
            yield part


def read_json(part: JsonPart) -> FilePayload | Refusal:
    """The export request in a line or a document."""
    try:
        signal = _json_signal(part.text)
        return _payload(part.place, signal, parse_json(signal, part.text))
    except BadPayload as error:
        return Refusal(place=part.place, reason=str(error))


def _json_signal(text: bytes) -> Signal:
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BadPayload(f"not JSON: {error}") from error
    keys = document.keys() if isinstance(document, dict) else ()
    for key in keys:
        if key in SIGNAL_OF_KEY:
            return SIGNAL_OF_KEY[key]
    if "resourceMetrics" in keys:
        raise BadPayload("metrics are not kept")
    raise BadPayload("neither resourceLogs nor resourceSpans in it: not an OTLP/JSON export request")


def read_protobuf(data: bytes) -> Iterator[FilePayload | Refusal]:
    """The export request that a file is, or those in it."""
    if not data:
        yield Refusal(place="file", reason="it is empty")
        return
    for split in (_whole, _split_by_four_bytes, _split_by_varint):
        try:
            payloads = [_from_protobuf(f"message {n}", body) for n, body in enumerate(split(data), start=1)]
        except BadPayload:
            continue
        yield from payloads
        return
    yield Refusal(place="file", reason="neither OTLP/JSON nor OTLP/protobuf, whole or with lengths between")


def _from_protobuf(place: str, body: bytes) -> FilePayload:
    """Logs and traces have the same field numbers down to the record, where one does not parse as the other."""
    with suppress(BadPayload):
        traces = cast(ExportTraceServiceRequest, parse("traces", body))
        if any(span.trace_id for group in traces.resource_spans for scope in group.scope_spans for span in scope.spans):
            return _payload(place, "traces", traces)
    logs = _payload(place, "logs", parse("logs", body))
    if logs.records == 0:
        raise BadPayload("no records in it")
    return logs


def _payload(place: str, signal: Signal, message: Message) -> FilePayload:
    return FilePayload(
        place=place,
        signal=signal,
        body=message.SerializeToString(),
        records=count_records(message),
        format=FORMAT,
    )


def _whole(data: bytes) -> list[bytes]:
    return [data]


def _split_by_four_bytes(data: bytes) -> list[bytes]:
    return _split(data, lambda at: (int.from_bytes(data[at : at + 4], "big"), at + 4))


def _split_by_varint(data: bytes) -> list[bytes]:
    def length_at(at: int) -> tuple[int, int]:
        length = shift = 0
        while at < len(data):
            byte = data[at]
            at += 1
            length |= (byte & 0x7F) << shift
            if byte < 0x80:
                return length, at
            shift += 7
        raise BadPayload("a length breaks off")

    return _split(data, length_at)


def _split(data: bytes, length_at: Callable[[int], tuple[int, int]]) -> list[bytes]:
    bodies: list[bytes] = []
    at = 0
    while at < len(data):
        length, start = length_at(at)
        at = start + length
        if length == 0 or at > len(data):
            raise BadPayload("a length goes beyond the end")
        bodies.append(data[start:at])
    return bodies
