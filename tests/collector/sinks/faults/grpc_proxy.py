"""A gRPC server before a real one that passes calls on, or answers as it was told to."""

import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from clew_collector.model import record
from tests.collector.certificates import Signed


@record
class Refusal:
    """What a call is answered with instead of being passed on."""

    code: Any
    details: str
    retry_after_s: int | None = None


class GrpcProxy:
    """Passes all on but what `refusal` says otherwise of a body and the call's metadata.

    With `is_slow`, answers wait until the caller has given up or the proxy is told to `hurry`.
    """

    def __init__(self) -> None:
        self.refusal: Callable[[bytes, dict[str, Any]], Refusal | None] = lambda body, metadata: None
        self.is_slow = False
        self.hurry = threading.Event()


@contextmanager
def grpc_proxy(
    upstream: str, *, port: int, signed: Signed | None = None, proxy: GrpcProxy | None = None
) -> Iterator[GrpcProxy]:
    """One that listens on a port of this machine; over TLS if it has a certificate."""
    proxy = proxy or GrpcProxy()
    channel: Any = grpc.insecure_channel(upstream)
    server = grpc.server(futures.ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((_Passing(proxy, channel),))
    if signed is None:
        server.add_insecure_port(f"127.0.0.1:{port}")
    else:
        pair = (signed.key.read_bytes(), signed.certificate.read_bytes())
        server.add_secure_port(f"127.0.0.1:{port}", grpc.ssl_server_credentials([pair]))
    server.start()
    try:
        yield proxy
    finally:
        proxy.hurry.set()
        server.stop(0).wait()
        channel.close()


class _Passing:
    """Handles any call, as gRPC's generic handlers do."""

    def __init__(self, proxy: GrpcProxy, channel: Any) -> None:
        self._proxy = proxy
        self._channel = channel

    def service(self, call: Any) -> Any:
        """The handler of a call."""

        def handle(body: bytes, context: Any) -> Any:
            refusal = self._proxy.refusal(body, dict(context.invocation_metadata()))
            if refusal is not None:
                _abort(context, refusal)
            answer = self._channel.unary_unary(call.method)(body, timeout=60)
            if self._proxy.is_slow:
                self._proxy.hurry.wait(60)
            return answer

        return grpc.unary_unary_rpc_method_handler(handle)


def _abort(context: Any, refusal: Refusal) -> None:
    if refusal.retry_after_s is not None:
        packed = AnyMessage()
        packed.Pack(RetryInfo(retry_delay=Duration(seconds=refusal.retry_after_s)))
        status = Status(code=refusal.code.value[0], message=refusal.details, details=[packed])
        context.set_trailing_metadata([("grpc-status-details-bin", status.SerializeToString())])
    context.abort(refusal.code, refusal.details)
