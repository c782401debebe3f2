"""What a server does with the bytes of a connection, without a network."""

import asyncio
from functools import cache
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from clew_collector.receivers.answering import Answer, send_answer
from clew_collector.receivers.body import ClientGone, Receive, Scope, Send, read_body
from clew_collector.receivers.patience import Patience, patient_protocol

SIZES = (1 << 16, 100)
STEPS = 20
"""Of the event loop, in which a request that is whole is answered."""


class Wire(asyncio.Transport):
    """A connection that keeps what the server says."""

    def __init__(self) -> None:
        super().__init__({"sockname": ("127.0.0.1", 1), "peername": ("127.0.0.1", 2)})
        self.said = b""
        self._is_closing = False

    def write(self, data: Any) -> None:
        self.said += bytes(data)

    def close(self) -> None:
        self._is_closing = True

    def is_closing(self) -> bool:
        return self._is_closing

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


def check_http(data: bytes) -> None:
    """Whatever it is sent, it answers or closes, and nothing fails behind it."""
    for size in SIZES:
        said = _loop().run_until_complete(_served([data[at : at + size] for at in range(0, len(data), size)]))
        assert not said or said.startswith(b"HTTP/1.1 "), said[:50]
        assert b" 500 " not in said.partition(b"\r\n")[0]


async def _served(pieces: list[bytes]) -> bytes:
    loop = asyncio.get_running_loop()
    failed: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: failed.append(context))
    wire, state = Wire(), ServerState()
    protocol = patient_protocol(Patience(max_head_bytes=4096), lambda _: None)(
        config=_config(), server_state=state, app_state={}, _loop=loop
    )
    protocol.connection_made(wire)
    for piece in pieces:
        if not wire.is_closing():
            protocol.data_received(piece)
    for _ in range(STEPS):
        await asyncio.sleep(0)
    protocol.connection_lost(None)
    if state.tasks:
        await asyncio.wait(state.tasks)
    assert not failed, failed
    return wire.said


async def _app(scope: Scope, receive: Receive, send: Send) -> None:
    try:
        body = await read_body(receive, declared_bytes=None, max_bytes=1 << 20)
    except ClientGone:
        return
    await send_answer(send, Answer(status=200, content_type="text/plain", body=str(len(body)).encode()))


@cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


@cache
def _config() -> uvicorn.Config:
    config = uvicorn.Config(_app, lifespan="off", ws="none", log_level="critical", access_log=False)
    config.load()
    return config
