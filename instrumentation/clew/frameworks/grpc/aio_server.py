"""Servers made by `grpc.aio.server`: each RPC is a task; functions that are not async run in threads."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import Any

from grpc import aio

from clew.frameworks.grpc.rpc import Outcome, code_name, text_of
from clew.frameworks.grpc.server_call import ServerCall, gone
from clew.frameworks.grpc.sync_server import Behavior, Handle, rebuilt, stream, unary
from clew.runtime import RUNTIME


class AioInterceptor(aio.ServerInterceptor):  # type: ignore[misc]
    """Follows each RPC. Has to be a server's first interceptor: what the others do belongs to the request too."""

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: Any) -> Any:
        """The RPC's handler, followed."""
        if not RUNTIME.enabled:
            return await continuation(handler_call_details)
        call = ServerCall(handler_call_details.method, handler_call_details.invocation_metadata)
        try:
            with call.resumed():
                handler = await continuation(handler_call_details)
        except BaseException as error:
            is_cancelled = isinstance(error, asyncio.CancelledError)
            call.end(Outcome("CANCELLED" if is_cancelled else "UNKNOWN", error=error))
            raise
        if handler is None:
            call.end(Outcome("UNIMPLEMENTED", "Method not found!"), is_known=False)
            return None
        handle = partial(AioHandling, call)
        return rebuilt(handler, lambda behavior, streams: _followed(behavior, handle, streams=streams))


def _followed(behavior: Behavior, handle: Handle, *, streams: bool) -> Behavior:
    """A function of the same kind: gRPC treats each of them in its own way."""
    if inspect.iscoroutinefunction(behavior):
        return _coroutine(behavior, handle, streams=streams)
    if inspect.isasyncgenfunction(behavior):
        return _async_generator(behavior, handle)
    return stream(behavior, handle) if streams else unary(behavior, handle)


def _coroutine(behavior: Behavior, handle: Handle, *, streams: bool) -> Behavior:
    async def respond(request: Any, context: Any) -> Any:
        handling = handle(context)
        if streams:
            handling.watch_client()
        with handling.call.resumed():
            try:
                response = await behavior(request, handling.context)
            except BaseException as error:
                handling.settle(error)
                raise
            handling.settle(None)
        return response

    return respond


def _async_generator(behavior: Behavior, handle: Handle) -> Behavior:
    async def respond(request: Any, context: Any) -> AsyncIterator[Any]:
        handling = handle(context)
        handling.watch_client()
        with handling.call.resumed():
            try:
                async with aclosing(behavior(request, handling.context)) as responses:
                    async for response in responses:
                        yield response
            except BaseException as error:
                handling.settle(error)
                raise
            handling.settle(None)

    return respond


class AioHandling:
    """One run of a function, in a task or on a thread."""

    __slots__ = ("_grpcs_context", "_peer", "call", "context")

    def __init__(self, call: ServerCall, context: Any) -> None:
        self.call = call
        self._grpcs_context = context
        self.context = _Context(call, context)
        # Now: once the call has ended, gRPC reads the name of its peer from memory that is no longer its own.
        self._peer = context.peer()
        # An abort sends its status at once: this is what it sends then, unless it has metadata of its own.
        context.set_trailing_metadata(call.with_request_id(None))

    def settle(self, error: BaseException | None) -> None:
        """Read what the function has set, before gRPC sends it."""
        self.call.end(self._outcome(error), peer=self._peer)

    def watch_client(self) -> None:
        """As the protocol says. A function on a thread is told of it when it goes on."""
        add_done_callback = getattr(self._grpcs_context, "add_done_callback", None)
        if add_done_callback is not None:
            add_done_callback(self._end_without_client)

    def _outcome(self, error: BaseException | None) -> Outcome:
        code, details = self.context.clew_code, text_of(self.context.clew_details)
        if isinstance(error, (asyncio.CancelledError, GeneratorExit)):
            return Outcome(self._gone())
        failure = error if isinstance(error, Exception) and not isinstance(error, aio.AbortError) else None
        return Outcome(code_name(code, "OK" if error is None else "UNKNOWN"), details, failure)

    def _gone(self) -> str:
        return gone(self._grpcs_context.time_remaining())

    def _end_without_client(self, _context: object) -> None:
        self.call.end(Outcome(self._gone()), peer=self._peer)


class _Context:
    """gRPC's context, which keeps what a function sets; and the request ID stays in the trailing metadata.

    The real one tells neither what an abort said nor, on a thread, any code at all.
    """

    __slots__ = ("_call", "_context", "clew_code", "clew_details")

    def __init__(self, call: ServerCall, context: Any) -> None:
        self._call = call
        self._context = context
        self.clew_code: Any = None
        self.clew_details: Any = ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return type(self._context)

    def set_code(self, code: Any) -> None:
        self._context.set_code(code)
        self.clew_code = code

    def set_details(self, details: Any) -> None:
        self._context.set_details(details)
        self.clew_details = details

    def set_trailing_metadata(self, trailing_metadata: Any) -> None:
        self._context.set_trailing_metadata(self._call.with_request_id(trailing_metadata))

    def abort(self, code: Any, details: Any = "", trailing_metadata: Any = ()) -> Any:
        """A coroutine in a task; on a thread it is the abort itself."""
        self.clew_code, self.clew_details = code, details or self.clew_details
        if trailing_metadata:
            trailing_metadata = self._call.with_request_id(trailing_metadata)
        return self._context.abort(code, details, trailing_metadata)

    def abort_with_status(self, status: Any) -> Any:
        return self.abort(status.code, status.details, status.trailing_metadata)
