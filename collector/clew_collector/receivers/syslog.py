"""Syslog over UDP (RFC 5426), TCP (RFC 6587) and TLS (RFC 5425), for rsyslog, syslog-ng, `logger` and their like.

Syslog has no acknowledgement. When no more can be kept, lines over UDP are dropped and counted, and connections are
not read from until there is room.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import tzinfo
from typing import Final, cast

import structlog
from pydantic import Field

from clew_collector.listening import ListenConfig
from clew_collector.receivers.gathering import Deliver, Gathering
from clew_collector.receivers.handshake import Handshakes, tls_server
from clew_collector.receivers.udp_buffer import grow_receive_buffer, kernel_drops
from clew_collector.spool import Counter
from clew_collector.wire.syslog.framing import Frames
from clew_collector.wire.syslog.otlp import LogsRequest, ReceivedLine

MAX_LINE_BYTES: Final = 64 << 10
RECEIVE_BUFFER_BYTES: Final = 16 << 20
HALF_TIMEOUT_S: Final = 60.0

_WATCH_INTERVAL_S: Final = 2.0
# asyncio's datagram protocol, on uvloop, reads 32 between two other things: in a burst, too few.
_DATAGRAMS_AT_ONCE: Final = 1_000
_MAX_LEFT: Final = 100_000
"""Datagrams taken from the kernel at the end: whoever goes on sending must not keep us."""
_TLS_HANDSHAKE: Final = b"\x16\x03"

log = structlog.get_logger(__name__)

Count = Callable[[Counter, int], None]
"""Adds to a counter; does not block."""


class SyslogConfig(ListenConfig):
    """`syslog` under `receivers` in clew.yaml, over UDP and TCP. Without a port it is 5514, if that is free.

    With `tls` there is a port for RFC 5425, too.
    """

    tls_port: int = Field(default=6514, ge=0, le=65535, description="Only with `tls`.")
    ids_in_text: bool = Field(default=False, description="Look for the IDs of a request in the text of lines, too.")
    max_line_bytes: int = Field(
        default=MAX_LINE_BYTES, ge=480, le=1 << 20, description="Longer lines are cut. RFC 5424 wants 480 at least."
    )


class SyslogReceiver:
    """Turns lines into OTLP payloads and hands them to `deliver`; a line over `max_line_bytes` is cut and counted.

    `ids_in_text` looks for the IDs of a request in the text, too, not in the structured data only. `zone` is that of
    timestamps without one; by default that of this machine. A connection whose last message is not whole for
    `half_timeout_s` is closed, and what came of it is kept: hundreds of them are memory.
    """

    def __init__(
        self,
        deliver: Deliver,
        *,
        count: Count,
        ids_in_text: bool = False,
        max_line_bytes: int = MAX_LINE_BYTES,
        zone: tzinfo | None = None,
        half_timeout_s: float = HALF_TIMEOUT_S,
    ) -> None:
        self.max_line_bytes = max_line_bytes
        self._count = count
        self._ids_in_text = ids_in_text
        self._zone = zone
        self._half_timeout_s = half_timeout_s
        self._connections: set[_Connection] = set()
        self._kernel_drops = 0
        self.is_crowded = False
        self._datagrams = Gathering(deliver, new_request=self._new_request, drop=self.drop, when_full="drop")
        self._streams = Gathering(
            deliver, new_request=self._new_request, drop=self.drop, when_full="wait", on_crowded=self._pause_all
        )

    @asynccontextmanager
    async def listening(
        self,
        datagrams: socket.socket,
        connections: socket.socket,
        encrypted: socket.socket | None = None,
        *,
        tls: ssl.SSLContext | None = None,
    ) -> AsyncIterator[None]:
        """Take lines from a bound UDP socket and a listening TCP socket until left; what came by then is delivered.

        With `tls`, also from the listening socket `encrypted`. The sockets stay open: another process may go on
        with them.
        """
        _ask_for_buffer(datagrams)
        datagrams.setblocking(False)
        self._kernel_drops = kernel_drops(datagrams)  # before us, another process may have had it
        loop = asyncio.get_running_loop()
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._datagrams)
            await stack.enter_async_context(self._streams)
            loop.add_reader(datagrams, self._take_datagrams, datagrams, _DATAGRAMS_AT_ONCE)
            server = await loop.create_server(self._connection, sock=connections.dup())
            if encrypted is not None and tls is not None:
                handshakes = Handshakes(context=tls, refuse=self.refuse)
                serving = tls_server(encrypted, handshakes, protocol_factory=self._connection)
                await stack.enter_async_context(serving)
            watching = asyncio.create_task(self._watch(datagrams), name="syslog-watch")
            try:
                yield
            finally:
                watching.cancel()
                loop.remove_reader(datagrams)
                server.close()
                for connection in tuple(self._connections):
                    connection.finish()
                self._take_datagrams(datagrams, _MAX_LEFT)
                self._count_drops(datagrams)

    def take_frame(self, data: bytes, peer: str) -> None:
        """Take one message of a connection."""
        self._streams.add(ReceivedLine(data, time.time_ns(), peer))

    def drop(self, reason: str, count: int = 1) -> None:
        """Count lines of which all or the rest is lost."""
        self._count(("dropped", "logs", reason), count)

    def refuse(self, reason: str) -> None:
        """Count what is no line."""
        self._count(("refused", "logs", reason), 1)

    def connected(self, connection: "_Connection") -> None:
        """Know a connection, and have it wait if there is no room."""
        self._connections.add(connection)
        if self.is_crowded:
            connection.pause()

    def disconnected(self, connection: "_Connection") -> None:
        """Forget a connection."""
        self._connections.discard(connection)

    def _pause_all(self, is_crowded: bool) -> None:
        self.is_crowded = is_crowded
        for connection in self._connections:
            if is_crowded:
                connection.pause()
            else:
                connection.resume()

    def _connection(self) -> "_Connection":
        return _Connection(self)

    def _new_request(self) -> LogsRequest:
        return LogsRequest(ids_in_text=self._ids_in_text, zone=self._zone)

    def _take_datagrams(self, datagrams: socket.socket, at_most: int) -> None:
        """Take what the kernel holds; each datagram is a message (RFC 5426, section 3.1)."""
        now_ns = time.time_ns()
        with suppress(OSError):  # none left
            for _ in range(at_most):
                data, address = datagrams.recvfrom(self.max_line_bytes)
                if data.strip(b"\r\n\0"):
                    self._datagrams.add(ReceivedLine(data, now_ns, _told_apart(address)))
                else:
                    self.refuse("empty datagram")

    async def _watch(self, datagrams: socket.socket) -> None:
        while True:
            await asyncio.sleep(_WATCH_INTERVAL_S)
            self._count_drops(datagrams)
            self._close_overdue(time.monotonic() - self._half_timeout_s)

    def _count_drops(self, datagrams: socket.socket) -> None:
        dropped = kernel_drops(datagrams)
        if dropped > self._kernel_drops:
            self.drop("UDP receive buffer full", dropped - self._kernel_drops)
        self._kernel_drops = dropped

    def _close_overdue(self, before_s: float) -> None:
        """Close connections whose message has been half there since before this time."""
        if self.is_crowded:
            return  # it is we who do not read on
        for connection in tuple(self._connections):
            if connection.half_since_s is not None and connection.half_since_s < before_s:
                self.refuse("message not whole in time")
                connection.finish()


class _Connection(asyncio.Protocol):
    """One sender over TCP."""

    def __init__(self, receiver: SyslogReceiver) -> None:
        self._receiver = receiver
        self._frames = Frames(max_bytes=receiver.max_line_bytes, drop=receiver.drop)
        self._transport: asyncio.Transport | None = None
        self._peer = ""
        self._is_new = True
        self.half_since_s: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass
        self._peer = _told_apart(transport.get_extra_info("peername"))
        self._receiver.connected(self)

    def data_received(self, data: bytes) -> None:
        if self._is_new and data.startswith(_TLS_HANDSHAKE):
            self._receiver.refuse("TLS, which this port does not speak")
            self.finish()
            return
        self._is_new = False
        frames = self._frames.feed(data)
        for frame in frames:
            self._receiver.take_frame(frame, self._peer)
        if not self._frames.is_half:
            self.half_since_s = None
        elif frames or self.half_since_s is None:
            self.half_since_s = time.monotonic()

    def connection_lost(self, _error: Exception | None) -> None:
        self.finish()

    def pause(self) -> None:
        """Stop reading: what the sender sends waits in the kernel, then in the sender."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self.half_since_s is not None:
            self.half_since_s = time.monotonic()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def finish(self) -> None:
        """Hand on what is left and close. Safe to call twice."""
        for frame in self._frames.end():
            self._receiver.take_frame(frame, self._peer)
        self._receiver.disconnected(self)
        if self._transport is not None:
            self._transport.close()


def _told_apart(address: tuple[str, int] | None) -> str:
    """The host of an address, empty for this machine: who has it says nothing."""
    host = address[0] if address else ""
    return "" if host in ("127.0.0.1", "::1") else host.removeprefix("::ffff:")


def _ask_for_buffer(datagrams: socket.socket) -> None:
    got_bytes = grow_receive_buffer(datagrams, RECEIVE_BUFFER_BYTES)
    if got_bytes < RECEIVE_BUFFER_BYTES:
        log.info(
            "syslog over UDP has a smaller receive buffer than it wants: bursts may lose lines",
            bytes=got_bytes,
            wanted=RECEIVE_BUFFER_BYTES,
            remedy=f"sysctl -w net.core.rmem_max={RECEIVE_BUFFER_BYTES}",
        )
