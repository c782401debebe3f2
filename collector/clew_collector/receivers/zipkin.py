"""Zipkin's way in: `POST /api/v2/spans`, JSON and protobuf, and `POST /api/v1/spans`, JSON; plain and gzip.

Answers as Zipkin does (https://zipkin.io/zipkin-api/): 202 with an empty body, or an error status with the reason as
text. Spans are turned into OTLP, then on disk, then answered.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Final

from pydantic import Field

from clew_collector.errors import ClewError
from clew_collector.listening import ListenConfig
from clew_collector.payload import Payload, digest_of, payload_of
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
from clew_collector.wire.zipkin.model import ZipkinSpan
from clew_collector.wire.zipkin.proto3 import decode_proto3
from clew_collector.wire.zipkin.to_otlp import encode_export_request
from clew_collector.wire.zipkin.v1_json import decode_v1_json
from clew_collector.wire.zipkin.v2_json import decode_v2_json

HEALTH_PATH: Final = "/health"
PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"

Decode = Callable[[bytes], list[ZipkinSpan]]
"""Reads a body or raises `BadPayload`."""

# Zipkin takes a body without a content type as JSON.
_DECODERS: Final[Mapping[str, Mapping[str, Decode]]] = {
    "/api/v2/spans": {JSON: decode_v2_json, PROTOBUF: decode_proto3, "": decode_v2_json},
    "/api/v1/spans": {JSON: decode_v1_json, "": decode_v1_json},
}
_RECEIVER: Final = "zipkin"
_LARGE_BYTES: Final = 64 << 10
"""Larger bodies, some hundred spans, are read in a thread: meanwhile others are answered."""


class ZipkinConfig(ListenConfig):
    """`zipkin` under `receivers` in clew.yaml. Without a port it is 9411, if that is free."""

    max_body_bytes: int = Field(
        default=16 << 20, ge=1 << 10, le=1 << 30, description="The largest body, as sent and as decompressed."
    )


class ZipkinReceiver:
    """An ASGI application that turns Zipkin spans into OTLP payloads and hands them to `deliver`.

    `max_body_bytes` bounds a body as sent and as decompressed.
    """

    def __init__(
        self,
        deliver: Deliver,
        *,
        count: Count,
        max_body_bytes: int = 16 << 20,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._deliver = deliver
        self._count = count
        self._max_body_bytes = max_body_bytes
        self._clock_ns = clock_ns

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        if scope["type"] != "http":
            return
        try:
            answer = await self._answer(scope, receive)
        except ClientGone:
            self._count(("refused", _RECEIVER, "client gone"), 1)
            return
        except ClewError as error:
            status, reason = status_of(error)
            self._count(("refused", _RECEIVER, reason), 1)
            answer = Answer(
                status=status,
                content_type="text/plain; charset=utf-8",
                body=f"{error}\n".encode(errors="backslashreplace"),
                headers=refusal_headers(error, status),
            )
        await send_answer(send, answer)

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        if scope["path"] == HEALTH_PATH:
            return Answer(status=200, content_type=JSON, body=b'{"status":"UP"}')
        headers = headers_of(scope)
        decode = _decoder(scope["method"], scope["path"], content_type_of(headers))
        body = await read_content(receive, headers, max_bytes=self._max_body_bytes)
        if len(body) > _LARGE_BYTES:
            payload = await asyncio.to_thread(self._payload, decode, body)
        else:
            payload = self._payload(decode, body)
        if payload.records:
            await self._deliver(payload)
        return Answer(status=202, content_type="text/plain", body=b"")

    def _payload(self, decode: Decode, body: bytes) -> Payload:
        spans = decode(body)
        request = encode_export_request(spans, now_ns=self._clock_ns())
        return payload_of("traces", request, digest=digest_of("traces", body))


def _decoder(method: str, path: str, content_type: str) -> Decode:
    decoders = _DECODERS.get(path)
    if decoders is None:
        raise Unsupported(f"nothing is at {path!r:.80}: spans go to {' or '.join(_DECODERS)}", status=404)
    if method != "POST":
        raise Unsupported(f"{path} takes POST, got {method:.20}", status=405, headers=((b"allow", b"POST"),))
    decode = decoders.get(content_type)
    if decode is None:
        known = " or ".join(filter(None, decoders))
        raise Unsupported(f"Content-Type must be {known}, got {content_type!r:.80}", status=415)
    return decode
