"""OTLP over gRPC: `Export` of the services for logs, traces and metrics; plain, gzip, deflate and zstd.

Follows https://opentelemetry.io/docs/specs/otlp/#otlpgrpc: a payload is checked, then on disk, then answered. On
gRPC's asyncio server, beside uvloop: the one with threads acknowledged no more, and needs one for each that waits.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Final

import grpc
import grpc.aio
from pydantic import Field, field_validator

from clew_collector.errors import ClewError, ConfigError
from clew_collector.keys import KEY, Key, Keys
from clew_collector.listening import ListenConfig
from clew_collector.model import Signal
from clew_collector.payload import digest_of, payload_of
from clew_collector.receivers.answering import Count, Deliver, Unsupported
from clew_collector.receivers.body import decompressed
from clew_collector.receivers.grpc_refusal import CallBrokenOff, CallTooSlow, code_of, reason_of, trailers_of
from clew_collector.tls import Pem, TlsConfig
from clew_collector.wire.otlp import metrics
from clew_collector.wire.otlp.payload import parse

GRPC_PORT: Final = 4317
NO_KEYS: Final = Keys(())

_SERVICES: Final = "/opentelemetry.proto.collector"
_HEALTH_CHECK: Final = "/grpc.health.v1.Health/Check"
_SERVING: Final = b"\x08\x01"
"""A `grpc.health.v1.HealthCheckResponse`."""

_READ_BYTES: Final = 256 << 10
_READ_TIMEOUT_S: Final = 60.0
_STOP_TIMEOUT_S: Final = 5.0
# Idle connections are pinged, and end if they do not answer. Senders may ping, too: Go's do so every 10 s at most.
_CONNECTION_LIMITS: Final = (
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.max_connection_idle_ms", 600_000),
    ("grpc.server_handshake_timeout_ms", 10_000),
)

Answer = Callable[[bytes], Awaitable[bytes]]
"""Takes a request's bytes, returns the response's; raises `ClewError` to refuse."""


class OtlpGrpcConfig(ListenConfig):
    """`otlp_grpc` under `receivers` in clew.yaml. Without a port it is 4317, if that is free."""

    max_body_bytes: int = Field(
        default=16 << 20, ge=1 << 10, le=1 << 30, description="The largest message, as sent and as decompressed."
    )
    max_concurrent_streams: int = Field(
        default=100, ge=1, le=10_000, description="Requests at a time on one connection; more wait in the sender."
    )

    @field_validator("tls")
    @classmethod
    def _is_possible(cls, tls: TlsConfig | None) -> TlsConfig | None:
        if tls is not None and tls.min_version != "1.2":
            raise ValueError(
                f"min_version {tls.min_version} cannot be had over gRPC, whose library has no such setting: "
                "leave it out here, or have senders use OTLP over HTTP"
            )
        return tls


class OtlpGrpcReceiver:
    """A gRPC server that checks payloads and hands them to `deliver`.

    `max_body_bytes` bounds a message as sent and as decompressed. Where there are `keys`, senders must show one.
    """

    def __init__(
        self,
        deliver: Deliver,
        *,
        count: Count,
        max_body_bytes: int = 16 << 20,
        max_concurrent_streams: int = 100,
        keys: Keys = NO_KEYS,
    ) -> None:
        self._deliver = deliver
        self._count = count
        self._max_body_bytes = max_body_bytes
        self._keys = keys
        self._options = (
            *_CONNECTION_LIMITS,
            ("grpc.so_reuseport", 1),
            ("grpc.max_concurrent_streams", max_concurrent_streams),
            ("grpc.max_receive_message_length", max_body_bytes),
            # Bodies of 200 KB in a few reads: without these, 7 % fewer records/s, on a busy machine up to 30.
            ("grpc.experimental.tcp_read_chunk_size", _READ_BYTES),
            ("grpc.experimental.tcp_min_read_chunk_size", _READ_BYTES),
            # The library expands a message whole before it looks at the size: 16 MB of gzip would become 16 GB.
            ("grpc.per_message_decompression", 0),
        )
        self._handlers = {
            f"{_SERVICES}.logs.v1.LogsService/Export": self._handler("logs", partial(self._take, "logs")),
            f"{_SERVICES}.trace.v1.TraceService/Export": self._handler("traces", partial(self._take, "traces")),
            f"{_SERVICES}.metrics.v1.MetricsService/Export": self._handler("metrics", self._refuse_points),
            _HEALTH_CHECK: self._handler("other", _check_health, is_open=True),
        }

    @asynccontextmanager
    async def serving(self, host: str, port: int, *, tls: Pem | None = None) -> AsyncIterator[int]:
        """Take payloads on a port (0: any free one), which is yielded, until left; what has come is answered then.

        The port may be held by another process of this user (`held_port`). Raises `ConfigError` if it cannot be had.
        """
        server = grpc.aio.server(options=self._options)
        server.add_generic_rpc_handlers((self,))
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            bound: int = (
                server.add_insecure_port(address) if tls is None else server.add_secure_port(address, _credentials(tls))
            )
        except RuntimeError as error:
            raise ConfigError(f"cannot listen on {address} for gRPC: {error}") from error
        await server.start()
        try:
            yield bound
        finally:
            await server.stop(_STOP_TIMEOUT_S)

    def service(self, call: Any) -> Any:
        """The handler of a call, as gRPC asks a `GenericRpcHandler` for it."""
        return self._handlers.get(call.method) or self._handler("other", partial(_refuse_method, call.method))

    def _handler(self, signal: str, answer: Answer, *, is_open: bool = False) -> Any:
        async def handle(_messages: object, context: Any) -> bytes:
            try:
                if self._keys and not is_open:
                    KEY.set(self._key_of(context))  # each call is a task with a context of its own
                return await answer(await self._read(context))
            except ClewError as error:
                self._count(("refused", signal, reason_of(error)), 1)
                await _refuse(context, error)
                return b""

        # As a stream of one message: of a unary call that breaks off or is too large we would never know.
        return grpc.stream_unary_rpc_method_handler(handle)

    def _key_of(self, context: Any) -> Key:
        headers = dict(context.invocation_metadata())
        return self._keys.find(authorization=headers.get("authorization", ""), api_key=headers.get("x-api-key", ""))

    async def _read(self, context: Any) -> bytes:
        """The message of a call, decompressed."""
        try:
            async with asyncio.timeout(_READ_TIMEOUT_S):
                message = await context.read()
        except TimeoutError:
            raise CallTooSlow(f"the message was not there after {_READ_TIMEOUT_S:g} s") from None
        if not isinstance(message, bytes):
            raise CallBrokenOff("the call ended without a message")
        encoding = _encoding_of(message)
        return message if encoding is None else decompressed(message, encoding, max_bytes=self._max_body_bytes)

    async def _take(self, signal: Signal, body: bytes) -> bytes:
        payload = payload_of(signal, parse(signal, body), digest=digest_of(signal, body), body=body)
        if payload.records:
            await self._deliver(payload)
        return b""

    async def _refuse_points(self, body: bytes) -> bytes:
        points = metrics.count_points(metrics.parse(body, is_json=False))
        self._count(("refused", "metrics", "not kept"), points)
        return metrics.refuse_points(points).SerializeToString()


async def _refuse(context: Any, error: ClewError) -> None:
    message = str(error).encode(errors="backslashreplace").decode()
    with suppress(grpc.aio.InternalError):  # nobody is there any more, or gRPC has answered
        await context.abort(code_of(error), message, trailers_of(error, message))


async def _refuse_method(method: str, _body: bytes) -> bytes:
    raise Unsupported(f"nothing is at {method!r:.120}: OTLP/gRPC goes to Export of its three services", status=404)


async def _check_health(_body: bytes) -> bytes:
    return _SERVING


def _encoding_of(message: bytes) -> str | None:
    """How a message is compressed, by its first bytes; `None` if it is not.

    gRPC does not tell. OTLP requests begin with 0x0a, the tag of their only field, and none of these does.
    """
    if message.startswith(b"\x1f\x8b"):
        return "gzip"
    if message.startswith(b"\x28\xb5\x2f\xfd"):
        return "zstd"
    # RFC 1950, section 2.2: method 8, and a multiple of 31.
    if len(message) > 1 and message[0] & 0x8F == 8 and int.from_bytes(message[:2]) % 31 == 0:
        return "deflate"
    return None


def _credentials(tls: Pem) -> Any:
    return grpc.ssl_server_credentials(
        [(tls.key, tls.certificate)],
        root_certificates=tls.client_ca,
        require_client_auth=tls.client_ca is not None,
    )
