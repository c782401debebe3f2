"""OTLP over HTTP: `POST /v1/logs`, `/v1/traces` and `/v1/metrics`, protobuf and JSON, plain or compressed.

Follows https://opentelemetry.io/docs/specs/otlp/#otlphttp: 200 with an export response, or an error status with a
`google.rpc.Status` body in the encoding of the request. A payload is checked, then on disk, then answered.
"""

from dataclasses import replace
from typing import Final

from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message as ProtobufMessage
from google.rpc.code_pb2 import INVALID_ARGUMENT, NOT_FOUND, RESOURCE_EXHAUSTED, UNAVAILABLE, UNIMPLEMENTED
from google.rpc.status_pb2 import Status
from pydantic import Field

from clew_collector.errors import ClewError
from clew_collector.listening import ListenConfig
from clew_collector.model import Signal
from clew_collector.payload import digest_of, payload_of
from clew_collector.receivers.answering import (
    Answer,
    Count,
    Deliver,
    Unsupported,
    content_type_of,
    headers_of,
    read_content,
    refusal_headers,
    send_answer,
    status_of,
)
from clew_collector.receivers.body import ClientGone, Receive, Scope, Send
from clew_collector.receivers.cors import CrossOrigin
from clew_collector.wire.otlp import metrics
from clew_collector.wire.otlp.from_json import parse_json
from clew_collector.wire.otlp.payload import parse

PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"
HEALTH_PATH: Final = "/healthz"
REPLAYED: Final = "idempotent-replayed"
"""The header of an answer to a payload that was there already, as others name it."""

_SIGNALS: Final[dict[str, Signal]] = {"/v1/logs": "logs", "/v1/traces": "traces"}
_METRICS_PATH: Final = "/v1/metrics"

_CODES: Final = {
    400: INVALID_ARGUMENT,
    404: NOT_FOUND,
    413: INVALID_ARGUMENT,
    429: RESOURCE_EXHAUSTED,
    500: UNAVAILABLE,
    503: UNAVAILABLE,
}
"""The `google.rpc` code beside an HTTP status; any other is `UNIMPLEMENTED`."""


class OtlpHttpConfig(ListenConfig):
    """`otlp_http` under `receivers` in clew.yaml. Without a port it is 4318, which must be free."""

    max_body_bytes: int = Field(
        default=16 << 20, ge=1 << 10, le=1 << 30, description="The largest body, as sent and as decompressed."
    )
    cors_origins: tuple[str, ...] = Field(
        default=(), description="Origins whose pages may send from a browser, as `https://shop.example`; `*` is any."
    )


class OtlpHttpReceiver:
    """An ASGI application that checks payloads and hands them to `deliver`.

    `max_body_bytes` bounds a body as sent and as decompressed. Payloads in JSON are handed on as protobuf. Pages of
    `cors_origins` may send from a browser.
    """

    def __init__(
        self, deliver: Deliver, *, count: Count, max_body_bytes: int = 16 << 20, cors_origins: tuple[str, ...] = ()
    ) -> None:
        self._deliver = deliver
        self._count = count
        self._max_body_bytes = max_body_bytes
        self._cross_origin = CrossOrigin(cors_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        if scope["type"] != "http":
            return
        headers = headers_of(scope)
        content_type = content_type_of(headers)
        try:
            answer = await self._answer(scope, receive, headers, content_type)
        except ClientGone:
            self._count(("refused", _SIGNALS.get(scope["path"], "other"), "client gone"), 1)
            return
        except ClewError as error:
            answer = self._refusal(error, scope["path"], content_type)
        headers_for_browser = self._cross_origin.answer_headers(headers)
        await send_answer(send, replace(answer, headers=(*answer.headers, *headers_for_browser)))

    async def _answer(self, scope: Scope, receive: Receive, headers: dict[bytes, str], content_type: str) -> Answer:
        path = scope["path"]
        if path == HEALTH_PATH:
            return Answer(status=200, content_type="text/plain", body=b"ok")
        if self._cross_origin.is_preflight(scope["method"], headers):
            return Answer(
                status=200, content_type="text/plain", body=b"", headers=self._cross_origin.preflight_headers(headers)
            )
        _check_request(scope["method"], path, content_type)
        body = await read_content(receive, headers, max_bytes=self._max_body_bytes)
        if path == _METRICS_PATH:
            return self._answer_metrics(body, content_type)
        is_new = await self._take(_SIGNALS[path], body, content_type)
        return Answer(
            status=200,
            content_type=content_type,
            body=b"{}" if content_type == JSON else b"",
            headers=() if is_new else ((REPLAYED.encode(), b"true"),),
        )

    async def _take(self, signal: Signal, body: bytes, content_type: str) -> bool:
        digest = digest_of(signal, body)
        message = parse_json(signal, body) if content_type == JSON else parse(signal, body)
        payload = payload_of(signal, message, digest=digest, body=None if content_type == JSON else body)
        return await self._deliver(payload) if payload.records else True

    def _answer_metrics(self, body: bytes, content_type: str) -> Answer:
        points = metrics.count_points(metrics.parse(body, is_json=content_type == JSON))
        self._count(("refused", "metrics", "not kept"), points)
        return Answer(status=200, content_type=content_type, body=_encoded(metrics.refuse_points(points), content_type))

    def _refusal(self, error: ClewError, path: str, content_type: str) -> Answer:
        status, reason = status_of(error)
        self._count(("refused", _SIGNALS.get(path, "other"), reason), 1)
        content_type = content_type if content_type in (JSON, PROTOBUF) else JSON
        body = _encoded(Status(code=_CODES.get(status, UNIMPLEMENTED), message=str(error)), content_type)
        headers = refusal_headers(error, status)
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


def _encoded(message: ProtobufMessage, content_type: str) -> bytes:
    return MessageToJson(message, indent=None).encode() if content_type == JSON else message.SerializeToString()
