"""Servers made by `grpc.server`: each RPC runs in a thread of the server's pool."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final, Protocol

import grpc

from clew.frameworks.grpc.rpc import Outcome, code_name, text_of
from clew.frameworks.grpc.server_call import ServerCall, gone
from clew.runtime import RUNTIME

Behavior = Callable[..., Any]


class Handling(Protocol):
    """One run of a service's function."""

    call: ServerCall
    context: Any
    """What the function is given as its context."""

    def settle(self, error: BaseException | None) -> None:
        """The function is done: send the ID back, end the span."""

    def watch_client(self) -> None:
        """End the span when the client goes, too: a stream may wait for what it sends next for hours."""


Handle = Callable[[Any], Handling]
"""Takes gRPC's context."""


class SyncInterceptor(grpc.ServerInterceptor):  # type: ignore[misc]
    """Follows each RPC. Has to be a server's first interceptor: what the others do belongs to the request too."""

    def intercept_service(self, continuation: Callable[[Any], Any], handler_call_details: Any) -> Any:
        """The RPC's handler, followed."""
        if not RUNTIME.enabled:
            return continuation(handler_call_details)
        call = ServerCall(handler_call_details.method, handler_call_details.invocation_metadata)
        try:
            with call.resumed():
                handler = continuation(handler_call_details)
        except Exception as error:
            call.end(Outcome("UNKNOWN", error=error))
            raise
        if handler is None:
            call.end(Outcome("UNIMPLEMENTED", "Method not found!"), is_known=False)
            return None
        handle = partial(SyncHandling, call)
        return rebuilt(handler, lambda behavior, streams: (stream if streams else unary)(behavior, handle))


def rebuilt(handler: Any, followed: Callable[[Behavior, bool], Behavior]) -> Any:
    """A handler like another, with `followed(its function, whether that gives a stream)` as its function."""
    requests_stream, responses_stream = bool(handler.request_streaming), bool(handler.response_streaming)
    name, make = _KINDS[requests_stream, responses_stream]
    behavior = getattr(handler, name)
    if getattr(behavior, "experimental_non_blocking", False):
        # It answers by a callback, from wherever it likes; grpc itself calls that an experiment. Not followed.
        return handler
    function: Any = followed(behavior, responses_stream)
    thread_pool = getattr(behavior, "experimental_thread_pool", None)
    if thread_pool is not None:
        function.experimental_thread_pool = thread_pool
    return make(function, handler.request_deserializer, handler.response_serializer)


_KINDS: Final = {
    (False, False): ("unary_unary", grpc.unary_unary_rpc_method_handler),
    (False, True): ("unary_stream", grpc.unary_stream_rpc_method_handler),
    (True, False): ("stream_unary", grpc.stream_unary_rpc_method_handler),
    (True, True): ("stream_stream", grpc.stream_stream_rpc_method_handler),
}


def unary(behavior: Behavior, handle: Handle) -> Behavior:
    """A function that gives one response."""

    def respond(request: Any, context: Any) -> Any:
        handling = handle(context)
        with handling.call.resumed():
            response = _called(behavior, request, handling)
            handling.settle(None)
        return response

    return respond


def stream(behavior: Behavior, handle: Handle) -> Behavior:
    """A function that gives an iterator of responses."""

    def respond(request: Any, context: Any) -> Any:
        handling = handle(context)
        with handling.call.resumed():
            responses = _called(behavior, request, handling)
        handling.watch_client()
        return _responses(responses, handling)

    return respond


def _called(behavior: Behavior, request: Any, handling: Handling) -> Any:
    try:
        return behavior(request, handling.context)
    except BaseException as error:
        handling.settle(error)
        raise


def _responses(responses: Any, handling: Handling) -> Iterator[Any]:
    with handling.call.resumed():
        try:
            yield from responses
        except BaseException as error:
            handling.settle(error)
            raise
        handling.settle(None)


class SyncHandling:
    """One run of a function on a thread of the pool."""

    __slots__ = ("_peer", "call", "context")

    def __init__(self, call: ServerCall, context: Any) -> None:
        self.call = call
        self.context = context
        self._peer = context.peer()

    def settle(self, error: BaseException | None) -> None:
        """Read what the function has set before gRPC sends it."""
        context = self.context
        context.set_trailing_metadata(self.call.with_request_id(context.trailing_metadata()))
        self.call.end(self._outcome(error), peer=self._peer)

    def watch_client(self) -> None:
        """As the protocol says."""
        if not self.context.add_callback(self._end_without_client):
            self._end_without_client()

    def _outcome(self, error: BaseException | None) -> Outcome:
        context = self.context
        code = context.code()
        failure = error if isinstance(error, Exception) and not _is_grpcs_own(error, code) else None
        if not context.is_active():
            return Outcome(gone(context.time_remaining()), error=failure)
        return Outcome(code_name(code, "OK" if error is None else "UNKNOWN"), text_of(context.details()), failure)

    def _end_without_client(self) -> None:
        self.call.end(Outcome(gone(self.context.time_remaining())), peer=self._peer)


def _is_grpcs_own(error: Exception, code: object) -> bool:
    """Whether an exception is `abort`'s, or says that the client has gone while requests were read."""
    if type(error) is Exception:
        return code is not None and not error.args
    return type(error) is grpc.RpcError
