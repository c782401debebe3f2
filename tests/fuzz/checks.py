"""What must hold for any bytes that a decoder is given; what it raises to refuse them, `Target` knows."""

import io
import itertools
import tempfile
from collections import Counter
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any, Final, get_args

import duckdb
import orjson
from google.protobuf.message import Message

from clew_collector.config.yaml_file import load_config
from clew_collector.errors import BadPayload, PayloadTooLarge
from clew_collector.model import SIGNALS, Signal
from clew_collector.payload import payload_of
from clew_collector.receivers.body import ENCODINGS, decompressed
from clew_collector.wire.elastic_bulk.actions import decode_actions
from clew_collector.wire.elastic_bulk.taking import take_documents
from clew_collector.wire.elastic_bulk.to_otlp import DocumentsRequest
from clew_collector.wire.files import Refusal, read_payloads
from clew_collector.wire.jaeger.traces_json import decode_traces
from clew_collector.wire.lines.cutting import Cutter
from clew_collector.wire.lines.formats import Format, decode_line
from clew_collector.wire.lines.line import Reading
from clew_collector.wire.lines.multiline import Joiner
from clew_collector.wire.lines.otlp import LinesRequest, Origin
from clew_collector.wire.otlp import metrics
from clew_collector.wire.otlp.from_json import parse_json
from clew_collector.wire.otlp.payload import decode, parse
from clew_collector.wire.otlp.select import MACROS, SELECTS
from clew_collector.wire.syslog.framing import CUT, HALF, Frames
from clew_collector.wire.syslog.otlp import LogsRequest, ReceivedLine
from clew_collector.wire.zipkin.model import ZipkinSpan
from clew_collector.wire.zipkin.to_otlp import encode_export_request
from tests.fuzz.target import NOW_NS

FORMATS: Final[tuple[Format, ...]] = get_args(Format)
MAX_LINE_BYTES: Final = 1 << 10
MAX_BODY_BYTES: Final = 1 << 20
ORIGIN: Final = Origin(path="/x", name="x", service="", attributes={})


@cache
def _connection() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("SET threads = 1")
    for macro in MACROS:
        connection.execute(macro)
    return connection


def store(signal: Signal, message: Message, body: bytes | None = None) -> None:
    """What intake accepts and counts, the store process decodes and finds, by service."""
    payload = payload_of(signal, message, digest=b"", body=body)
    connection = _connection().cursor()
    connection.register("batch", decode(signal, [payload.body]))
    rows = connection.execute(f"SELECT service, count(*) FROM ({SELECTS[signal]}) GROUP BY service").fetchall()
    assert dict(rows) == dict(payload.services), f"{payload.services} were counted, {rows} stored"
    connection.close()


def encode(signal: Signal, message: Message) -> None:
    """What a decoder makes can be read back. That it can be stored is for the targets of OTLP: 100 times as dear."""
    assert decode(signal, [payload_of(signal, message, digest=b"").body]).num_rows == 1


def accept(refuse: type[Exception], make: Callable[[], Any]) -> Any:
    """What is made, or `None` if it is refused as it may be."""
    try:
        return make()
    except refuse:
        return None


def check_otlp_protobuf(data: bytes) -> None:
    for signal in SIGNALS:
        message = accept(BadPayload, partial(parse, signal, data))
        if message is not None:
            store(signal, message, data)
    accept(BadPayload, lambda: metrics.count_points(metrics.parse(data, is_json=False)))


def check_otlp_json(data: bytes) -> None:
    for signal in SIGNALS:
        message = accept(BadPayload, partial(parse_json, signal, data))
        if message is not None:
            store(signal, message)
    accept(BadPayload, lambda: metrics.count_points(metrics.parse(data, is_json=True)))


def check_zipkin(decoder: Callable[[bytes], list[ZipkinSpan]]) -> Callable[[bytes], None]:
    def check(data: bytes) -> None:
        encode("traces", encode_export_request(decoder(data), now_ns=NOW_NS))

    return check


def check_jaeger(data: bytes) -> None:
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError:
        return
    encode("traces", decode_traces(document))


def check_files(data: bytes) -> None:
    for payload in read_payloads(io.BytesIO(data), now_ns=NOW_NS):
        if not isinstance(payload, Refusal):
            encode(payload.signal, parse(payload.signal, payload.body))


def check_elastic_bulk(data: bytes) -> None:
    actions = decode_actions(data, default_index="logs")
    request = DocumentsRequest(received_ns=NOW_NS, ids_in_text=True)
    taken = take_documents(actions, request, run="r", numbers=itertools.count())
    assert len(taken.items) == len(actions) == request.records + sum(taken.refused.values())
    orjson.dumps(taken.items)
    encode("logs", request.message)


def check_syslog(data: bytes) -> None:
    request = LogsRequest(ids_in_text=True)
    request.add([ReceivedLine(line, NOW_NS, "10.0.0.1") for line in (data, *data.split(b"\n"))])
    encode("logs", request.message)


def check_frames(data: bytes) -> None:
    """However a stream is cut, the same frames come of it."""
    whole, whole_dropped = _frames(data, len(data) or 1)
    for size in (1 if len(data) < 2_000 else 61, 997):
        frames, dropped = _frames(data, size)
        if b"\0" not in data:  # where the first piece ends decides what ends a line
            assert (frames, dropped) == (whole, whole_dropped), f"in pieces of {size}"


def _frames(data: bytes, size: int) -> tuple[list[bytes], Counter[str]]:
    dropped: Counter[str] = Counter()
    frames = Frames(max_bytes=64 << 10, drop=lambda reason: dropped.update([reason]))
    found = [frame for at in range(0, len(data), size) for frame in frames.feed(data[at : at + size])]
    found += frames.end()
    assert all(found)
    assert dropped.keys() <= {CUT, HALF}
    return found, dropped


def check_lines(data: bytes) -> None:
    request = LinesRequest()
    text = data.decode(errors="backslashreplace")
    reading = Reading(received_ns=NOW_NS)
    for format in FORMATS:
        request.add(decode_line(text, format, reading), ORIGIN, received_ns=NOW_NS)
    encode("logs", request.message)


def check_multiline(data: bytes) -> None:
    """All that is not blank is in some record, in order."""
    for encoding in ("utf-8", "utf-16-le", "latin-1"):
        cutter = Cutter(encoding=encoding, max_bytes=MAX_LINE_BYTES)
        joiner = Joiner("auto", max_bytes=MAX_LINE_BYTES)
        joined = [record for line in cutter.cut(data) if (record := joiner.feed(line)) is not None]
        joined += [record for record in (joiner.flush(),) if record is not None]
        ends = [record.end for record in joined]
        assert ends == sorted(ends)
        assert all(end <= len(data) for end in ends)
        assert all(record.data.decode() is not None for record in joined if encoding != "utf-8")
        cutter.last(data)


def check_body(data: bytes) -> None:
    encoding = list(ENCODINGS)[data[0] % len(ENCODINGS)] if data else "gzip"
    try:
        body = decompressed(data[1:], encoding, max_bytes=MAX_BODY_BYTES)
    except PayloadTooLarge:
        return
    assert len(body) <= MAX_BODY_BYTES


def check_settings(data: bytes) -> None:
    path = _file()
    path.write_bytes(data)
    load_config(path, environ={})


@cache
def _file() -> Path:
    return Path(tempfile.mkdtemp(prefix="clew-fuzz-")) / "clew.yaml"
