"""OTLP over gRPC: requests as clew has encoded them, through the library `grpcio` where it is installed."""

from typing import Any, Final
from urllib.parse import SplitResult

import grpc

from clew.exporting.batch import KINDS, Batch, Kind
from clew.exporting.endpoints import basic_credentials, endpoint_of, headers_of, is_loopback, wants_gzip
from clew.exporting.outcome import Outcome, readable, taken
from clew.exporting.reading import read_messages, read_number
from clew.exporting.tls import tls_context
from clew.settings import Settings
from clew.version import VERSION

_RETRYABLE: Final = frozenset(
    {
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)
"""As OTLP/gRPC says: https://opentelemetry.io/docs/specs/otlp/#failures."""

_OPTIONS: Final = (
    ("grpc.primary_user_agent", f"clew/{VERSION}"),
    # The batch is tried again by the exporter, which knows how long it may take.
    ("grpc.enable_retries", 0),
    # By default a channel waits for up to two minutes before it looks again.
    ("grpc.initial_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    # The host's channels to the same address have failures of their own.
    ("grpc.use_local_subchannel_pool", 1),
)
_RETRY_INFO: Final = b"google.rpc.RetryInfo"


class GrpcTransport:
    """Calls the services' `Export`. Channels are opened when they are needed, in the process that needs them."""

    def __init__(self, settings: Settings) -> None:
        """Raises `ValueError` for a certificate that cannot be read, and for headers that gRPC does not take."""
        self._settings = settings
        self._metadata = {kind.name: _metadata(settings, kind) for kind in KINDS.values()}
        self._compression = grpc.Compression.Gzip if wants_gzip(settings) else grpc.Compression.NoCompression
        self._certificate = _read_certificate(settings)
        self._channels: dict[tuple[str, str], Any] = {}
        self._calls: dict[str, Any] = {}
        self._left: list[Any] = []

    def send(self, batch: Batch) -> Outcome:
        """Call `Export`."""
        call = self._calls.get(batch.kind.name) or self._open(batch.kind)
        try:
            answer = call(
                batch.plain_body(),
                timeout=self._settings.export_timeout_s,
                metadata=self._metadata[batch.kind.name],
                compression=self._compression,
            )
        except grpc.RpcError as error:
            return _judge(error)
        return taken(answer)

    def forget(self) -> None:
        """Keep a parent's channels untouched: closing them here would wait for threads that are not here."""
        self._left += self._channels.values()
        self._channels, self._calls = {}, {}

    def close(self) -> None:
        """Close the channels."""
        channels, self._channels, self._calls = self._channels, {}, {}
        for channel in channels.values():
            channel.close()

    def _open(self, kind: Kind) -> Any:
        url = endpoint_of(self._settings, kind)
        place = (url.scheme, url.netloc)
        if place not in self._channels:
            self._channels[place] = self._open_channel(url)
        # No serializers: bytes as they are.
        call = self._calls[kind.name] = self._channels[place].unary_unary(kind.method)
        return call

    def _open_channel(self, url: SplitResult) -> Any:
        host = url.hostname or ""
        options = _OPTIONS if not is_loopback(host) else (*_OPTIONS, ("grpc.enable_http_proxy", 0))
        address = f"[{host}]" if ":" in host else host
        if url.scheme == "https":
            credentials = grpc.ssl_channel_credentials(self._certificate)
            return grpc.secure_channel(f"{address}:{url.port or 443}", credentials, options)
        return grpc.insecure_channel(f"{address}:{url.port or 4317}", options)


def _metadata(settings: Settings, kind: Kind) -> tuple[tuple[str, str | bytes], ...]:
    credentials = basic_credentials(endpoint_of(settings, kind))
    headers = {"authorization": credentials} if credentials is not None else {}
    headers |= {name.lower(): value for name, value in headers_of(settings, kind).items()}
    for name in headers:
        if not name.replace("-", "").replace("_", "").replace(".", "").isalnum():
            raise ValueError(f"clew.configure: headers must have names that gRPC takes, got {name!r}")
    return tuple((name, value.encode() if name.endswith("-bin") else value) for name, value in headers.items())


def _read_certificate(settings: Settings) -> bytes | None:
    if settings.certificate is None:
        return None
    tls_context(settings)
    with open(settings.certificate, "rb") as file:
        return file.read()


def _judge(error: Any) -> Outcome:
    code, details = error.code(), readable(error.details() or "")
    problem = f"gRPC {code.name}: {details}"
    if code is not grpc.StatusCode.RESOURCE_EXHAUSTED:
        return Outcome(problem=problem, may_retry=code in _RETRYABLE, retry_after_s=_retry_delay_s(error))
    retry_after_s = _retry_delay_s(error)
    if retry_after_s is not None:
        return Outcome(problem=problem, may_retry=True, retry_after_s=retry_after_s)
    return Outcome(problem=problem, is_too_large="larger than max" in details)


def _retry_delay_s(error: Any) -> float | None:
    """The delay of a `RetryInfo` in the status details (google/rpc/status.proto, error_details.proto)."""
    try:
        for key, status in error.trailing_metadata() or ():
            if key == "grpc-status-details-bin":
                return _delay_of(status)
    except ValueError:
        pass  # Not the details that the specification speaks of: as if there were none.
    return None


def _delay_of(status: bytes) -> float | None:
    for detail in read_messages(status, 3):
        if b"".join(read_messages(detail, 1)).rpartition(b"/")[2] != _RETRY_INFO:
            continue
        for info in read_messages(detail, 2):
            for delay in read_messages(info, 1):
                return read_number(delay, 1) + read_number(delay, 2) / 1e9
        return 0.0
    return None
