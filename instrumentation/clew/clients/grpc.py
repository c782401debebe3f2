"""gRPC's clients, of both kinds: one client span a call, and the request's IDs in its metadata.

What really makes the calls is wrapped, below all interceptors: that covers every channel, made before or after, each
attempt of an interceptor that tries again, and what a call returns is gRPC's own.
"""

import weakref
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final

import grpc
from grpc import _channel
from grpc.aio import _call

from clew import fields
from clew.clients.outgoing import begin_call
from clew.clients.wrapping import AnyFunction, wrap
from clew.failures import type_name
from clew.frameworks.grpc.rpc import TRACED_BY, Outcome, Rpc, code_name, describe, text_of
from clew.incoming import CLIENT
from clew.propagation import PARENT_HEADERS, TRACESTATE
from clew.runtime import RUNTIME
from clew.spans import LightSpan

_EXPORTERS: Final = b"/opentelemetry.proto.collector."
"""How the methods begin by which OpenTelemetry's exporters send: a span of each would be sent by the next."""

_METADATA: Final = 2
"""Where the metadata is among the arguments of a call, and of an asynchronous call's constructor."""

_CHANNEL: Final = 5
_METHOD: Final = 6
_PARENT_NAMES: Final = frozenset(name.decode() for name in (*PARENT_HEADERS, TRACESTATE))


def install() -> None:
    """Wrap the calls of `grpc.Channel`; twice is the same as once."""
    for name in ("_UnaryUnaryMultiCallable", "_StreamUnaryMultiCallable"):
        if (owner := getattr(_channel, name, None)) is not None:
            wrap(owner, "__call__", _around_blocking)
            wrap(owner, "with_call", _around_blocking)
            wrap(owner, "future", _around_started)
    for name in ("_UnaryStreamMultiCallable", "_SingleThreadedUnaryStreamMultiCallable", "_StreamStreamMultiCallable"):
        if (owner := getattr(_channel, name, None)) is not None:
            wrap(owner, "__call__", _around_started)


def install_aio() -> None:
    """Wrap the calls of `grpc.aio.Channel`; twice is the same as once."""
    for name in ("UnaryUnaryCall", "UnaryStreamCall", "StreamUnaryCall", "StreamStreamCall"):
        if (owner := getattr(_call, name, None)) is not None:
            wrap(owner, "__init__", _around_aio)


def _around_blocking(original: AnyFunction) -> AnyFunction:
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        following = _begin(getattr(self, "_method", None), getattr(self, "_target", b""))
        if following is None:
            return original(self, *args, **kwargs)
        args, kwargs = following.with_metadata(args, kwargs)
        try:
            answer = original(self, *args, **kwargs)
        except BaseException as error:
            following.fail(error)
            raise
        following.end("OK")
        return answer

    return call


def _around_started(original: AnyFunction) -> AnyFunction:
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        following = _begin(getattr(self, "_method", None), getattr(self, "_target", b""))
        if following is None:
            return original(self, *args, **kwargs)
        args, kwargs = following.with_metadata(args, kwargs)
        try:
            started = original(self, *args, **kwargs)
        except BaseException as error:
            following.fail(error)
            raise
        following.end_with(started)
        return started

    return call


def _around_aio(original: AnyFunction) -> AnyFunction:
    def initialize(self: Any, *args: Any, **kwargs: Any) -> None:
        following = _begin(*_aio_method_and_target(args, kwargs))
        if following is None:
            original(self, *args, **kwargs)
            return
        args, kwargs = following.with_metadata(args, kwargs)
        try:
            original(self, *args, **kwargs)
        except BaseException as error:
            following.fail(error)
            raise
        self.add_done_callback(following.end_aio)

    return initialize


def _aio_method_and_target(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, Any]:
    method = args[_METHOD] if len(args) > _METHOD else kwargs.get("method")
    channel = args[_CHANNEL] if len(args) > _CHANNEL else kwargs.get("channel")
    return method, getattr(channel, "target", b"")


def _begin(method: object, target: object) -> "_ClientCall | None":
    """A call's span and its headers; None when there is nothing to do."""
    if not RUNTIME.enabled or not isinstance(method, bytes) or method.startswith(_EXPORTERS):
        return None
    name = method.decode("utf-8", "replace").removeprefix("/")
    span, headers = begin_call(name, CLIENT, {}, traced_by=TRACED_BY)
    if span is None and not headers:
        return None
    return _ClientCall(span, Rpc(name, target=text_of(target) if isinstance(target, (bytes, str)) else ""), headers)


class _ClientCall:
    """One call, from when it is made to its status."""

    __slots__ = ("_headers", "_rpc", "_span")

    def __init__(self, span: LightSpan | None, rpc: Rpc, headers: Mapping[str, str]) -> None:
        self._span = span
        self._rpc = rpc
        self._headers = headers

    def with_metadata(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The call's arguments, its headers among its metadata."""
        if len(args) > _METADATA:
            return (*args[:_METADATA], _merged(args[_METADATA], self._headers), *args[_METADATA + 1 :]), kwargs
        return args, {**kwargs, "metadata": _merged(kwargs.get("metadata"), self._headers)}

    def end(self, code: str, details: str = "") -> None:
        """End the span. Twice is as once."""
        span = self._span
        if span is not None and span.end_ns is None:
            describe(span, self._rpc, Outcome(code, details), is_error=code != "OK")
            span.end()

    def fail(self, error: BaseException) -> None:
        """End the span of a call that raised."""
        code = getattr(error, "code", None)
        if isinstance(error, grpc.RpcError) and callable(code):
            self.end(code_name(code()), text_of(error.details()))
        elif self._span is not None:
            # It never was a call: the channel is closed, an argument is wrong. Or nobody waits for it any more.
            if isinstance(error, Exception):
                self._span.fail(error)
            self._span.set_attribute(fields.ERROR_TYPE, type_name(type(error)))
            describe(self._span, self._rpc, Outcome("", error=error), is_error=True)
            self._span.end()

    def end_with(self, started: Any) -> None:
        """End the span when a call has ended that goes on now.

        One that nobody holds any more is cancelled by gRPC, and must not be held here.
        """
        if self._span is None:
            return
        kept = weakref.ref(started, self._abandoned)
        ended: Callable[[], None] = partial(self._ended, kept)
        if not started.add_callback(ended):
            ended()

    def end_aio(self, call: Any) -> None:
        """The same for an asynchronous call, which calls this when it has ended."""
        self.end(code_name(_at_once(call.code())), text_of(_at_once(call.details())))

    def _ended(self, kept: "weakref.ref[Any]") -> None:
        started = kept()
        if started is not None:
            self.end(code_name(started.code()), text_of(started.details()))

    def _abandoned(self, _kept: object) -> None:
        self.end("CANCELLED")


def _at_once(coroutine: Any) -> Any:
    """What a coroutine returns that has nothing to wait for; None if it has."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    coroutine.close()
    return None


def _merged(metadata: Any, headers: Mapping[str, str]) -> Any:
    """A call's metadata with IDs among it. A request ID that the service chose stays; the span of another call, which
    a service has that passes its own caller's metadata on, does not. What is no metadata is gRPC's to refuse."""
    own = {name.lower(): value for name, value in headers.items()}
    if not metadata:
        return tuple(own.items())
    if not isinstance(metadata, Iterable) or isinstance(metadata, (str, bytes)):
        return metadata
    pairs = tuple(metadata)
    request_id = RUNTIME.headers.request_id.decode()
    if any(_name(pair) == request_id for pair in pairs):
        own.pop(request_id, None)
    replaced = own.keys() | _PARENT_NAMES if not _PARENT_NAMES.isdisjoint(own) else own.keys()
    return (*(pair for pair in pairs if _name(pair) not in replaced), *own.items())


def _name(pair: object) -> str | None:
    name = pair[0] if isinstance(pair, tuple) and pair else None
    return name if isinstance(name, str) else None
