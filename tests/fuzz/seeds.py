"""Real inputs to begin with, from the data that the tests have of other projects."""

import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from clew_collector.errors import BadPayload
from clew_collector.model import SIGNALS, Signal
from clew_collector.receivers.body import ENCODINGS, zstd
from clew_collector.wire.otlp.from_json import parse_json
from clew_collector.wire.zipkin.proto3 import ListOfSpans
from tests.collector.otlp_builders import a_log, a_span, logs, traces

DATA = Path(__file__).parents[1] / "data"
LINES_EACH = 20
COMPRESS: Mapping[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstd.compress,
}


def otlp_json() -> Iterator[bytes]:
    for path in sorted((DATA / "otlp-examples").glob("*.json")):
        yield path.read_bytes()
    for path in sorted((DATA / "nezha").glob("*.gz")):
        yield _lines(path, 1)[0][: 32 << 10]


def otlp_protobuf() -> Iterator[bytes]:
    yield traces(a_span(correlation_id="c-1", more={"k": [1, {"a": b"x"}], "d": 0.5, "t": True})).SerializeToString()
    yield logs(a_log({"m": [1, "x"]}, more={"k": None})).SerializeToString()
    for body in otlp_json():
        for signal in SIGNALS:
            if (message := _parsed(signal, body)) and len(message) < 8 << 10:
                yield message


def zipkin_v2() -> Iterator[bytes]:
    for path in sorted((DATA / "zipkin").glob("*.json")):
        yield path.read_bytes()


def zipkin_v1() -> Iterator[bytes]:
    spans = json.loads((DATA / "train-ticket-zipkin" / "booking.json").read_bytes())
    flat = [span for item in spans for span in (item if isinstance(item, list) else [item])]
    yield json.dumps(flat[:6]).encode()


def zipkin_proto3() -> Iterator[bytes]:
    for body in zipkin_v2():
        message: Any = ListOfSpans()
        for form in _flat(json.loads(body))[:5]:
            span = message.spans.add(
                trace_id=bytes.fromhex(form["traceId"].zfill(16)), id=bytes.fromhex(form["id"].zfill(16)), kind=1
            )
            span.name, span.timestamp, span.duration = form.get("name", ""), form.get("timestamp", 0), 5
            span.local_endpoint.service_name, span.local_endpoint.ipv4 = "shop", b"\x7f\0\0\1"
            span.annotations.add(timestamp=1, value='{"retry": {"attempt": 2}}')
            span.tags.add(key="error", value="x")
        yield message.SerializeToString()


def jaeger() -> Iterator[bytes]:
    yield (DATA / "jaeger" / "trace.json").read_bytes()


def files() -> Iterator[bytes]:
    yield from otlp_json()
    yield from zipkin_v2()
    yield from zipkin_v1()
    yield from jaeger()
    yield from otlp_protobuf()
    yield b'{"level": "info", "msg": "x", "ts": 1790000000.5}\n{"@timestamp": "2026-01-01T00:00:00Z", "message": "y"}\n'
    yield gzip.compress(b'{"msg": "x", "level": "info"}\n')


def documents() -> Iterator[bytes]:
    action = b'{"create": {"_index": "logs-app", "_id": "1"}}\n'
    ecs = {
        "@timestamp": "2026-01-01T00:00:00.000Z",
        "message": "paid",
        "log": {"level": "info", "origin": {"file": {"line": 3}}},
        "service": {"name": "shop"},
        "labels": {"request_id": "r-1"},
        "trace.id": "0af7651916cd43dd8448eb211c80319c",
        "host": {"ip": ["10.0.0.1"]},
    }
    yield action + json.dumps(ecs).encode() + b"\n"
    texts = b"".join(b'{"index":{}}\n' + json.dumps({"log": line.decode()}).encode() + b"\n" for line in _log_lines())
    yield texts + b'{"delete": {"_index": "x", "_id": "2"}}\n'


def syslog() -> Iterator[bytes]:
    for line in (DATA / "syslog" / "go-syslog-inputs.ndjson").read_text().splitlines()[::4]:
        yield json.loads(line)["input"].encode()
    yield b'<34>1 2026-01-01T00:00:00.003Z host app 12 ID47 [x@1 request_id="r-1" ip="1" ip="2"] BOM here'


def frames() -> Iterator[bytes]:
    messages = list(syslog())[:10]
    yield b"".join(b"%d %s" % (len(message), message) for message in messages)
    yield b"\n".join(messages) + b"\n"
    yield b"\0".join(messages) + b"\0"


def lines() -> Iterator[bytes]:
    for text in (DATA / "logfmt" / "go-logfmt-inputs.ndjson").read_text().splitlines():
        yield json.loads(text).encode()
    yield from _log_lines()
    yield b'10.0.0.1 - bob [02/Jan/2026:03:04:05 +0100] "GET /x?y=1 HTTP/1.1" 200 512 "-" "curl/8" request_id=r-1'
    yield b'2026/01/02 03:04:05 [error] 12#34: *5 open() failed, client: 10.0.0.1, server: x, request: "GET / HTTP/1.1"'
    yield b"[Fri Jan 02 03:04:05.678901 2026] [core:error] [pid 12:tid 34] [client 10.0.0.1:5] AH00001: x"
    yield b'{"level": 30, "time": 1790000000000, "msg": "x", "trace_id": "0af7651916cd43dd8448eb211c80319c", "n": NaN}'
    yield b"2026-01-02 03:04:05,678 ERROR [shop,0af7651916cd43dd8448eb211c80319c,b7ad6b7169203331] pay: no"


def multiline() -> Iterator[bytes]:
    yield b"Traceback (most recent call last):\n  File x\nValueError: y\n\nDuring handling of the above exception, "
    yield b"x\njava.lang.IllegalStateException: y\n\tat a.b(C.java:1)\nCaused by: z\n\t... 3 more\nnext\n"
    yield b"\n".join(_log_lines())


def bodies() -> Iterator[bytes]:
    for content in (b"", b"x" * 1000, json.dumps(list(range(500))).encode()):
        for number, encoding in enumerate(ENCODINGS):
            yield bytes((number,)) + COMPRESS[encoding](content)


def requests() -> Iterator[bytes]:
    head = b"POST /v1/logs?x=%41 HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    yield head + b"content-length: 5\r\n\r\nhello" + b"GET / HTTP/1.1\r\nhost: y\r\n\r\n"
    yield head + b"transfer-encoding: chunked\r\nexpect: 100-continue\r\n\r\n5;x=y\r\nhello\r\n0\r\na: b\r\n\r\n"
    yield b"OPTIONS * HTTP/1.0\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n"


def settings() -> Iterator[bytes]:
    yield b"data: /x\nreceivers:\n  otlp_http: {port: 4318, cors_origins: ['*']}\n  tail: [{paths: [/var/log/*.log]}]\n"
    yield b"spool: &s {max_bytes: ${SIZE:-1048576}}\nkeys: []\nprocessors: []\nstore: {memory_bytes: 1_000_000_000}\n"


def _parsed(signal: Signal, body: bytes) -> bytes:
    try:
        return parse_json(signal, body).SerializeToString()
    except BadPayload:
        return b""


def _flat(form: Any) -> list[Any]:
    return [span for item in form for span in _flat(item)] if isinstance(form, list) else [form]


def _log_lines() -> list[bytes]:
    return [line for path in sorted((DATA / "elastic").glob("*.gz")) for line in _lines(path, LINES_EACH)]


def _lines(path: Path, count: int) -> list[bytes]:
    with gzip.open(path) as file:
        return [line.rstrip(b"\n") for line, _ in zip(file, range(count), strict=False)]
