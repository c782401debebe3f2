"""OTLP/gRPC (https://opentelemetry.io/docs/specs/otlp/#otlpgrpc)."""

import re
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from clew_collector.model import Signal
from clew_collector.sinks.base import SinkUnavailable
from clew_collector.sinks.http import MAX_REASON_LENGTH, ClientTls, client_context, tls_hint
from clew_collector.sinks.otlp.answers import BodyRefused
from clew_collector.sinks.otlp.config import OtlpSinkConfig

_METHODS: Final[dict[Signal, str]] = {
    "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
}
_DETAILS: Final = "grpc-status-details-bin"
_KEEPALIVE: Final = (("grpc.keepalive_time_ms", 60_000), ("grpc.keepalive_timeout_ms", 20_000))
_CREDENTIALS: Final = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
# A limit on messages has no code of its own; these are the words of gRPC's libraries in C, Go and Java.
_TOO_LARGE: Final = re.compile("larger than max|exceeds maximum size")


class GrpcTransport:
    """See `Transport`. Raises `ConfigError` if the certificates cannot be used."""

    def __init__(self, config: OtlpSinkConfig) -> None:
        self._timeout_s = config.timeout_s
        self._headers = tuple((name.lower(), value.get_secret_value()) for name, value in config.headers.items())
        self._address = f"{config.url.host}:{config.url.port}"
        options = (*_KEEPALIVE, ("grpc.max_send_message_length", -1))
        self._channel: Any = (
            grpc.secure_channel(self._address, _credentials(config.tls), options)
            if config.url.scheme == "https"
            else grpc.insecure_channel(self._address, options)
        )
        self._calls = {signal: self._channel.unary_unary(method) for signal, method in _METHODS.items()}

    def send(self, signal: Signal, body: bytes) -> bytes:
        """See `Transport.send`."""
        try:
            answer: bytes = self._calls[signal](
                body, timeout=self._timeout_s, metadata=self._headers, compression=grpc.Compression.Gzip
            )
        except grpc.RpcError as error:
            raise self._meaning(error) from error
        return answer

    def close(self) -> None:
        """See `Transport.close`."""
        self._channel.close()

    def _meaning(self, error: Any) -> BodyRefused | SinkUnavailable:
        said = " ".join((error.details() or "").split())[:MAX_REASON_LENGTH]
        reason = f"{error.code().name}: {said}"
        is_too_large = error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED and _TOO_LARGE.search(said)
        if error.code() == grpc.StatusCode.INVALID_ARGUMENT or is_too_large:
            return BodyRefused(reason)
        hint = "; check headers" if error.code() in _CREDENTIALS else tls_hint(said)
        return SinkUnavailable(f"{self._address}: {reason}{hint}", retry_after_s=_retry_after_s(error))


def _retry_after_s(error: Any) -> float | None:
    """How long to wait, from `google.rpc.RetryInfo`; `None` if it is not said."""
    for name, value in error.trailing_metadata() or ():
        if name == _DETAILS:
            try:
                for detail in Status.FromString(value).details:
                    info = RetryInfo()
                    if detail.Unpack(info):
                        return float(info.retry_delay.ToTimedelta().total_seconds())
            except DecodeError:
                return None
    return None


def _credentials(tls: ClientTls) -> Any:
    client_context(tls)  # says what is wrong with them; gRPC only fails to connect
    return grpc.ssl_channel_credentials(
        *(None if path is None else path.read_bytes() for path in (tls.ca, tls.key, tls.certificate))
    )
