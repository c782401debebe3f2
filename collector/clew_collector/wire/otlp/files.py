"""Files of OTLP payloads: JSON, JSON lines and protobuf dumps, each also as gzip.

JSON lines hold one export request a line, as the OpenTelemetry Collector's file exporter writes them; a file may
also be one JSON document. Protobuf dumps are one export request, or many with a length before each: four bytes, big
end first (the file exporter's `proto` format), or a varint (size-delimited messages).
"""

import gzip
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import IO, Final, cast

import orjson
from google.protobuf.message import Message
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from clew_collector.errors import BadPayload
from clew_collector.model import Signal, record
from clew_collector.wire.otlp.from_json import parse_json
from clew_collector.wire.otlp.payload import count_records, parse

_GZIP_MAGIC: Final = b"\x1f\x8b"
_HEAD_BYTES: Final = 4096
_SIGNAL_OF_KEY: Final[dict[str, Signal]] = {
    "resourceLogs": "logs",
    "resource_logs": "logs",
    "resourceSpans": "traces",
    "resource_spans": "traces",
}


@record
class FilePayload:
    """An export request from a file, as protobuf. `place` says where it stood: `line 12`, `message 3`."""

    place: str
    signal: Signal
    body: bytes
    records: int


@record
class Refusal:
    """A part of a file that could not be read, and why."""

    place: str
    reason: str


def read_payloads(file: IO[bytes]) -> Iterator[FilePayload | Refusal]:
    """What a file holds, in order, as far as it can be read; `file` must be seekable.

    JSON lines are read one by one, other files whole. Never raises for what is in the file.
    """
    start = file.read(len(_GZIP_MAGIC))
    file.seek(0)
    plain = gzip.GzipFile(fileobj=file) if start == _GZIP_MAGIC else file
    try:
        yield from _read_plain(cast(IO[bytes], plain))
    except (EOFError, gzip.BadGzipFile, OSError) as error:
        yield Refusal(place="the rest of the file", reason=f"not whole gzip: {error}")


def _read_plain(file: IO[bytes]) -> Iterator[FilePayload | Refusal]:
    head = file.read(_HEAD_BYTES)
    file.seek(0)
    if not head.lstrip().startswith((b"{", b"[")):
        yield from _read_protobuf(file.read())
        return
    first = next((line for line in file if line.strip()), b"")
    if _is_json(first):
        file.seek(0)
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield _from_json(f"line {number}", line)
        return
    file.seek(0)
    document = file.read()
    if _is_json(document) or head.startswith((b"{", b"[")):
        yield _from_json("document", document)
    else:  # protobuf starts with a newline's byte, and a length of 123 is a brace
        yield from _read_protobuf(document)


def _from_json(place: str, text: bytes) -> FilePayload | Refusal:
    try:
        signal = _json_signal(text)
        return _payload(place, signal, parse_json(signal, text))
    except BadPayload as error:
        return Refusal(place=place, reason=str(error))


def _json_signal(text: bytes) -> Signal:
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BadPayload(f"not JSON: {error}") from error
    keys = document.keys() if isinstance(document, dict) else ()
    for key in keys:
        if key in _SIGNAL_OF_KEY:
            return _SIGNAL_OF_KEY[key]
    if "resourceMetrics" in keys:
        raise BadPayload("metrics are not kept")
    raise BadPayload("neither resourceLogs nor resourceSpans in it: not an OTLP/JSON export request")


def _read_protobuf(data: bytes) -> Iterator[FilePayload | Refusal]:
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
    return FilePayload(place=place, signal=signal, body=message.SerializeToString(), records=count_records(message))


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


def _is_json(line: bytes) -> bool:
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return True
