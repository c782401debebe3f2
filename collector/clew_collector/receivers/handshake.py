"""Connections that begin with a TLS handshake, so that one that fails is known and can be counted."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from typing import Final

import structlog

from clew_collector.model import record

HANDSHAKE_TIMEOUT_S: Final = 10.0
_NO_DESCRIPTOR_WAIT_S: Final = 1.0

log = structlog.get_logger(__name__)

Refuse = Callable[[str], None]
"""Counts a connection whose handshake failed, by reason."""


@record
class Handshakes:
    """How a server agrees on TLS with its clients, and who counts those that fail to."""

    context: ssl.SSLContext
    refuse: Refuse


@asynccontextmanager
async def tls_server(
    listening: socket.socket, handshakes: Handshakes, *, protocol_factory: Callable[[], asyncio.Protocol]
) -> AsyncIterator[None]:
    """Give each connection a protocol once its handshake has succeeded, until left; the socket stays open.

    As `loop.create_server(ssl=...)`, which says nothing of handshakes that fail.
    """
    shaking: set[asyncio.Task[None]] = set()

    async def accept() -> None:
        while True:
            connection = await _accepted(own)
            task = asyncio.create_task(_shake_hands(connection, handshakes, protocol_factory))
            shaking.add(task)
            task.add_done_callback(shaking.discard)

    with closing(listening.dup()) as own:
        own.setblocking(False)
        accepting = asyncio.create_task(accept(), name="tls-accept")
        try:
            yield
        finally:
            running = [accepting, *shaking]
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)


async def _accepted(listening: socket.socket) -> socket.socket:
    while True:
        try:
            connection, _ = await asyncio.get_running_loop().sock_accept(listening)
        except OSError as error:  # too many open files: some will be closed
            log.warning("cannot take a connection", error=str(error))
            await asyncio.sleep(_NO_DESCRIPTOR_WAIT_S)
        else:
            return connection


async def _shake_hands(
    connection: socket.socket, handshakes: Handshakes, protocol_factory: Callable[[], asyncio.Protocol]
) -> None:
    try:
        await asyncio.get_running_loop().connect_accepted_socket(
            protocol_factory, connection, ssl=handshakes.context, ssl_handshake_timeout=HANDSHAKE_TIMEOUT_S
        )
    except OSError as error:  # an SSLError is one
        handshakes.refuse(_reason(error))


def _reason(error: OSError) -> str:
    """One of a few: it names a counter."""
    match error:
        case ssl.SSLError(reason="PEER_DID_NOT_RETURN_A_CERTIFICATE"):
            return "TLS without a client certificate"
        case ssl.SSLError(reason="CERTIFICATE_VERIFY_FAILED"):
            return "TLS with a client certificate that is not trusted"
        case ssl.SSLError(reason="UNSUPPORTED_PROTOCOL"):
            return "TLS of a version that is too old"
        case ssl.SSLError(reason=reason) if reason and not reason.startswith(("TLSV1", "SSLV3")):
            return "no TLS"
        case _:  # the client's alert, its silence, or its end
            return "TLS broken off by the client"
