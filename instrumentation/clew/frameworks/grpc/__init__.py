"""gRPC servers, of both kinds: one server span an RPC, its handler in the request's context, the ID sent back.

A server that is made after `clew.configure()` is followed without further ado. One that is made before, or one whose
interceptors have to stand in an order of your own, takes `server_interceptor()` or `aio_server_interceptor()`.
"""

from collections.abc import Callable
from typing import Any

import grpc
from grpc import _server, aio
from grpc.aio import _server as aio_module

from clew.clients.wrapping import AnyFunction, wrap
from clew.frameworks.grpc.aio_server import AioInterceptor
from clew.frameworks.grpc.rpc import TRACED_BY
from clew.frameworks.grpc.sync_server import SyncInterceptor

__all__ = ["aio_server_interceptor", "install", "install_aio", "server_interceptor"]


def server_interceptor() -> grpc.ServerInterceptor:
    """For `grpc.server(pool, interceptors=[server_interceptor(), ...])`."""
    return SyncInterceptor()


def aio_server_interceptor() -> aio.ServerInterceptor:
    """For `grpc.aio.server(interceptors=[aio_server_interceptor(), ...])`."""
    return AioInterceptor()


def install() -> None:
    """Give each `grpc.server` from now on our interceptor as its first; twice is the same as once."""
    wrap(_server._Server, "__init__", _adding(server_interceptor))


def install_aio() -> None:
    """The same for `grpc.aio.server`."""
    wrap(aio_module.Server, "__init__", _adding(aio_server_interceptor))


def _adding(make: Callable[[], Any]) -> Callable[[AnyFunction], AnyFunction]:
    def around(original: AnyFunction) -> AnyFunction:
        def initialize(
            self: Any, thread_pool: Any, generic_handlers: Any, interceptors: Any, *args: Any, **kw: Any
        ) -> None:
            if interceptors is None or (
                isinstance(interceptors, (list, tuple)) and not any(map(_follows, interceptors))
            ):
                interceptors = (make(), *(interceptors or ()))
            original(self, thread_pool, generic_handlers, interceptors, *args, **kw)

        return initialize

    return around


def _follows(interceptor: object) -> bool:
    """Whether an interceptor makes a span of each RPC: ours, or OpenTelemetry's own."""
    return isinstance(interceptor, (SyncInterceptor, AioInterceptor)) or type(interceptor).__module__.startswith(
        TRACED_BY
    )
