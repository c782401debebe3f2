"""A service that is called over gRPC, on a real port: messages are bytes, methods are named by what they do."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import structlog
from grpc import aio

log = structlog.get_logger("shop")
SERVICE = "shop.Orders"
STOPS = threading.Event()


class AuthError(Exception):
    """A service's own exception."""


def reply(request: bytes, context: Any) -> bytes:
    log.info("replied")
    return b"re:" + request


def say_id(request: bytes, context: Any) -> bytes:
    import clew

    return str(clew.correlation_id()).encode()


def abort(request: bytes, context: Any) -> bytes:
    context.set_trailing_metadata((("own", "1"),))
    context.abort(grpc.StatusCode.NOT_FOUND, "no such order")
    raise AssertionError("unreachable")


def break_down(request: bytes, context: Any) -> bytes:
    raise AuthError("who are you?")


def set_code(request: bytes, context: Any) -> bytes:
    context.set_code(grpc.StatusCode.INTERNAL)
    context.set_details("set, not raised")
    return b""


def linger(request: bytes, context: Any) -> bytes:
    """Works on when its client has gone."""
    gone = threading.Event()
    if context.add_callback(gone.set):
        gone.wait(10)
    return b""


def count(request: bytes, context: Any) -> Iterator[bytes]:
    for number in range(int(request)):
        log.info("counted")
        yield str(number).encode()


def count_and_break(request: bytes, context: Any) -> Iterator[bytes]:
    yield b"0"
    raise AuthError("no more")


def count_and_abort(request: bytes, context: Any) -> Iterator[bytes]:
    yield b"0"
    context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "enough")


def count_for_ever(request: bytes, context: Any) -> Iterator[bytes]:
    while True:
        yield b"0"
        STOPS.wait(0.01)


def wait_after_first(request: bytes, context: Any) -> Iterator[bytes]:
    yield b"0"
    STOPS.wait(10)


def add(requests: Iterator[bytes], context: Any) -> bytes:
    total = 0
    for request in requests:
        log.info("added")
        total += int(request)
    return str(total).encode()


def echo(requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
    for request in requests:
        log.info("echoed")
        yield request


async def aio_reply(request: bytes, context: Any) -> bytes:
    await asyncio.sleep(0)
    log.info("replied")
    return b"re:" + request


async def aio_say_id(request: bytes, context: Any) -> bytes:
    return say_id(request, context)


async def aio_abort(request: bytes, context: Any) -> bytes:
    await context.abort(grpc.StatusCode.NOT_FOUND, "no such order", (("own", "1"),))
    raise AssertionError("unreachable")


async def aio_break_down(request: bytes, context: Any) -> bytes:
    raise AuthError("who are you?")


async def aio_set_code(request: bytes, context: Any) -> bytes:
    return set_code(request, context)


async def aio_linger(request: bytes, context: Any) -> bytes:
    await asyncio.sleep(10)
    return b""


async def aio_count(request: bytes, context: Any) -> AsyncIterator[bytes]:
    for number in range(int(request)):
        log.info("counted")
        yield str(number).encode()


async def aio_count_by_writing(request: bytes, context: Any) -> None:
    for number in range(int(request)):
        log.info("counted")
        await context.write(str(number).encode())


async def aio_count_and_break(request: bytes, context: Any) -> AsyncIterator[bytes]:
    yield b"0"
    raise AuthError("no more")


async def aio_count_and_abort(request: bytes, context: Any) -> AsyncIterator[bytes]:
    yield b"0"
    await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "enough")


async def aio_count_for_ever(request: bytes, context: Any) -> AsyncIterator[bytes]:
    while True:
        yield b"0"
        await asyncio.sleep(0.01)


async def aio_wait_after_first(request: bytes, context: Any) -> AsyncIterator[bytes]:
    yield b"0"
    await asyncio.sleep(10)


async def aio_add(requests: AsyncIterator[bytes], context: Any) -> bytes:
    total = 0
    async for request in requests:
        log.info("added")
        total += int(request)
    return str(total).encode()


async def aio_echo(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
    async for request in requests:
        log.info("echoed")
        yield request


def handlers(*, is_aio: bool) -> grpc.GenericRpcHandler:
    """The service; on a server of asyncio, `Threaded...` methods are not async ones."""
    unary, streaming = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
    methods = {
        "Reply": unary(aio_reply if is_aio else reply),
        "SayId": unary(aio_say_id if is_aio else say_id),
        "Abort": unary(aio_abort if is_aio else abort),
        "BreakDown": unary(aio_break_down if is_aio else break_down),
        "SetCode": unary(aio_set_code if is_aio else set_code),
        "Linger": unary(aio_linger if is_aio else linger),
        "Count": streaming(aio_count if is_aio else count),
        "CountAndBreak": streaming(aio_count_and_break if is_aio else count_and_break),
        "CountAndAbort": streaming(aio_count_and_abort if is_aio else count_and_abort),
        "CountForEver": streaming(aio_count_for_ever if is_aio else count_for_ever),
        "WaitAfterFirst": streaming(aio_wait_after_first if is_aio else wait_after_first),
        "Add": grpc.stream_unary_rpc_method_handler(aio_add if is_aio else add),
        "Echo": grpc.stream_stream_rpc_method_handler(aio_echo if is_aio else echo),
    }
    if is_aio:
        methods["CountByWriting"] = streaming(aio_count_by_writing)
        methods["ThreadedSayId"] = unary(say_id)
        methods["ThreadedAbort"] = unary(abort)
        methods["ThreadedSetCode"] = unary(set_code)
        methods["ThreadedCount"] = streaming(count)
        methods["ThreadedEcho"] = grpc.stream_stream_rpc_method_handler(echo)
    handler: grpc.GenericRpcHandler = grpc.method_handlers_generic_handler(SERVICE, methods)
    return handler


def health() -> grpc.GenericRpcHandler:
    """What answers the checks of a load balancer."""
    check = grpc.unary_unary_rpc_method_handler(lambda request, context: b"\x08\x01")
    handler: grpc.GenericRpcHandler = grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": check})
    return handler


@contextmanager
def sync_server(interceptors: Sequence[Any] | None = None) -> Iterator[str]:
    """`host:port` of a server of threads."""
    STOPS.clear()
    server = grpc.server(ThreadPoolExecutor(8), (handlers(is_aio=False), health()), interceptors=interceptors)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        STOPS.set()
        server.stop(None).wait(10)


@contextmanager
def aio_server(interceptors: Sequence[Any] | None = None) -> Iterator[str]:
    """`host:port` of a server of asyncio, on an event loop in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def in_loop(work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(10)

    async def start() -> tuple[Any, int]:
        server = aio.server(ThreadPoolExecutor(8), interceptors=interceptors)
        server.add_generic_rpc_handlers((handlers(is_aio=True), health()))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        return server, port

    server, port = in_loop(start())
    try:
        yield f"127.0.0.1:{port}"
    finally:
        in_loop(server.stop(None))
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


Starts = Callable[..., Any]
SERVERS: dict[str, Starts] = {"sync server": sync_server, "aio server": aio_server}
