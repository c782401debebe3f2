"""OTLP over HTTP: `POST /v1/logs`, `/v1/traces` and `/v1/metrics`, protobuf and JSON, plain and gzip.

Follows https://opentelemetry.io/docs/specs/otlp/#otlphttp: 200 with an export response, or an error status with a
`google.rpc.Status` body in the encoding of the request. A payload is checked, then on disk, then answered.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message as ProtobufMessage
from google.rpc.code_pb2 import INVALID_ARGUMENT, NOT_FOUND, RESOURCE_EXHAUSTED, UNAVAILABLE, UNIMPLEMENTED
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

from clew_collector.errors import BadPayload, ClewError, PayloadTooLarge, SpoolFull, StoreUnavailable
from clew_collector.model import Signal, record
from clew_collector.receivers.body import ClientGone, Receive, Scope, Send, gunzip, read_body
from clew_collector.spool import Counter, Payload, digest_of
from clew_collector.wire.otlp import metrics
from clew_collector.wire.otlp.from_json import parse_json
from clew_collector.wire.otlp.payload import count_records, parse

PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"
HEALTH_PATH: Final = "/healthz"
RETRY_AFTER_S: Final = 5

_SIGNALS: Final[dict[str, Signal]] = {"/v1/logs": "logs", "/v1/traces": "traces"}
_METRICS_PATH: Final = "/v1/metrics"
_METRICS_MESSAGE: Final = "clew keeps logs and traces, not metrics; turn the metrics exporter off"

Deliver = Callable[[Payload], Awaitable[None]]
"""Returns when the payload is on disk, or raises `SpoolFull` or `StoreUnavailable`."""

Count = Callable[[Counter, int], None]
"""Adds to a counter; does not block."""


class Unsupported(ClewError):
    """Answer with `status`: the request is not one that is taken here."""

    def __init__(self, message: str, *, status: int, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers


@record
class Answer:
    """What goes back to the sender."""

    status: int
    content_type: str
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()


class OtlpHttpReceiver:
    """An ASGI application that checks payloads and hands them to `deliver`.

    `max_body_bytes` bounds a body as sent and as decompressed. Payloads in JSON are handed on as protobuf.
    """

    def __init__(self, deliver: Deliver, *, count: Count, max_body_bytes: int = 16 << 20) -> None:
        self._deliver = deliver
        self._count = count
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        if scope["type"] != "http":
            return
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        content_type = headers.get(b"content-type", "").partition(";")[0].strip().lower()
        try:
            answer = await self._answer(scope, receive, headers, content_type)
        except ClientGone:
            self._count(("refused", _SIGNALS.get(scope["path"], "other"), "client gone"), 1)
            return
        except ClewError as error:
            answer = self._refusal(error, scope["path"], content_type)
        await _send_answer(send, answer)

    async def _answer(self, scope: Scope, receive: Receive, headers: dict[bytes, str], content_type: str) -> Answer:
        path = scope["path"]
        if path == HEALTH_PATH:
            return Answer(status=200, content_type="text/plain", body=b"ok")
        _check_request(scope["method"], path, content_type)
        length = headers.get(b"content-length", "")
        body = await read_body(
            receive,
            declared_bytes=int(length) if length.isdecimal() else None,
            max_bytes=self._max_body_bytes,
        )
        body = self._decompressed(body, headers.get(b"content-encoding", "identity").strip().lower())
        if path == _METRICS_PATH:
            return self._answer_metrics(body, content_type)
        await self._take(_SIGNALS[path], body, content_type)
        return Answer(status=200, content_type=content_type, body=b"{}" if content_type == JSON else b"")

    async def _take(self, signal: Signal, body: bytes, content_type: str) -> None:
        digest = digest_of(signal, body)
        message = parse_json(signal, body) if content_type == JSON else parse(signal, body)
        records = count_records(message)
        if records:
            encoded = message.SerializeToString() if content_type == JSON else body
            await self._deliver(Payload(signal=signal, body=encoded, records=records, digest=digest))

    def _answer_metrics(self, body: bytes, content_type: str) -> Answer:
        points = metrics.count_points(metrics.parse(body, is_json=content_type == JSON))
        self._count(("refused", "metrics", "not kept"), points)
        response = ExportMetricsServiceResponse()
        if points:
            response.partial_success.rejected_data_points = points
            response.partial_success.error_message = _METRICS_MESSAGE
        return Answer(status=200, content_type=content_type, body=_encoded(response, content_type))

    def _decompressed(self, body: bytes, encoding: str) -> bytes:
        if encoding in ("identity", ""):
            return body
        if encoding == "gzip":
            return gunzip(body, max_bytes=self._max_body_bytes)
        raise Unsupported(f"Content-Encoding must be gzip or identity, got {encoding!r:.60}", status=415)

    def _refusal(self, error: ClewError, path: str, content_type: str) -> Answer:
        status, code, reason = _meaning(error)
        self._count(("refused", _SIGNALS.get(path, "other"), reason), 1)
        content_type = content_type if content_type in (JSON, PROTOBUF) else JSON
        headers: tuple[tuple[bytes, bytes], ...] = getattr(error, "headers", ())
        if status in (429, 503):
            headers = (*headers, (b"retry-after", str(RETRY_AFTER_S).encode()))
        body = _encoded(Status(code=code, message=str(error)), content_type)
        return Answer(status=status, content_type=content_type, body=body, headers=headers)


def _check_request(method: str, path: str, content_type: str) -> None:
    if path not in _SIGNALS and path != _METRICS_PATH:
        raise Unsupported(
            f"nothing is at {path!r:.80}: OTLP/HTTP goes to /v1/logs, /v1/traces or /v1/metrics", status=404
        )
    if method != "POST":
        raise Unsupported(f"{path} takes POST, got {method:.20}", status=405, headers=((b"allow", b"POST"),))
    if content_type not in (PROTOBUF, JSON):
        raise Unsupported(f"Content-Type must be {PROTOBUF} or {JSON}, got {content_type!r:.80}", status=415)


def _meaning(error: ClewError) -> tuple[int, int, str]:
    """HTTP status, gRPC code and the counter's reason."""
    match error:
        case Unsupported():
            return error.status, NOT_FOUND if error.status == 404 else UNIMPLEMENTED, "unsupported"
        case PayloadTooLarge():
            return 413, INVALID_ARGUMENT, "too large"
        case BadPayload():
            return 400, INVALID_ARGUMENT, "bad payload"
        case SpoolFull():
            return 429, RESOURCE_EXHAUSTED, "spool full"
        case StoreUnavailable():
            return 503, UNAVAILABLE, "disk"
        case _:
            return 500, UNAVAILABLE, "other"


def _encoded(message: ProtobufMessage, content_type: str) -> bytes:
    return MessageToJson(message, indent=None).encode() if content_type == JSON else message.SerializeToString()


async def _send_answer(send: Send, answer: Answer) -> None:
    headers = [
        (b"content-type", answer.content_type.encode()),
        (b"content-length", str(len(answer.body)).encode()),
        *answer.headers,
    ]
    # The body of a refused request may still be on its way; closing is what stops the sender.
    if answer.status == 413:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
