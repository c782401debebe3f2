"""A line of bytes to a real server that can be cut in the middle of its answer to a batch, or hold answers back."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, Protocol

_CHUNK_BYTES: Final = 1 << 16
_HEADERS_FRAME: Final = 1
_PRODUCE: Final = 0

Read = Callable[[int], bytes]


class Framing(Protocol):
    """How a protocol cuts its bytes into frames, and which of them answers a batch. One a connection."""

    def request(self, read: Read) -> bytes:
        """The next piece on its way to the server; empty at the end."""
        ...

    def answer(self, read: Read) -> tuple[bytes, bool]:
        """The next piece on its way back, and whether it answers a batch."""
        ...


class Http2:
    """gRPC: the server's first frame of headers begins the answer to a call."""

    def request(self, read: Read) -> bytes:
        return read(0)

    def answer(self, read: Read) -> tuple[bytes, bool]:
        head = read(9)
        size = int.from_bytes(head[:3], "big")
        return head + (read(size) if size else b""), bool(head) and head[3] == _HEADERS_FRAME


class Kafka:
    """Requests and answers have their size before them; an answer has the number of its request."""

    def __init__(self) -> None:
        self._produced: set[bytes] = set()

    def request(self, read: Read) -> bytes:
        frame = _sized(read)
        if frame and struct.unpack_from(">h", frame, 4)[0] == _PRODUCE:
            self._produced.add(frame[8:12])
        return frame

    def answer(self, read: Read) -> tuple[bytes, bool]:
        frame = _sized(read)
        return frame, frame[4:8] in self._produced


class CuttingLine:
    """What happens on the line: the next `cuts` answers to batches are cut, and all wait while it is not `open`."""

    def __init__(self) -> None:
        self.cuts = 0
        self.open = threading.Event()
        self.open.set()


@contextmanager
def cutting_line(
    port: int, upstream_port: int, protocol: Callable[[], Framing], *, line: CuttingLine | None = None
) -> Iterator[CuttingLine]:
    """A line from a port of this machine to another; its connections end with it."""
    line = line or CuttingLine()
    sockets: set[socket.socket] = set()
    listener = socket.create_server(("127.0.0.1", port))

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", upstream_port))
                except OSError:
                    client.close()
                    continue
                sockets.update((client, server))
                of = protocol()
                for pump in (_pump_requests, _pump_answers):
                    threading.Thread(target=pump, args=(client, server, of, line), daemon=True).start()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield line
    finally:
        line.open.set()
        for each in (listener, *sockets):
            _end(each)
        thread.join()


def _pump_requests(client: socket.socket, server: socket.socket, of: Framing, line: CuttingLine) -> None:
    with suppress(OSError):
        while piece := of.request(_reader(client)):
            server.sendall(piece)
    _end(client, server)


def _pump_answers(client: socket.socket, server: socket.socket, of: Framing, line: CuttingLine) -> None:
    with suppress(OSError):
        while True:
            piece, is_of_a_batch = of.answer(_reader(server))
            if not piece:
                break
            if is_of_a_batch:
                line.open.wait(60)
            if is_of_a_batch and line.cuts:
                line.cuts -= 1
                client.sendall(piece[: len(piece) // 2])
                break
            client.sendall(piece)
    _end(client, server)


def _reader(stream: socket.socket) -> Read:
    def read(size: int) -> bytes:
        """So many bytes, or what there is if that is 0; nothing at the end."""
        if not size:
            return stream.recv(_CHUNK_BYTES)
        found = b""
        while len(found) < size:
            piece = stream.recv(size - len(found))
            if not piece:
                return b""
            found += piece
        return found

    return read


def _sized(read: Read) -> bytes:
    head = read(4)
    return head + read(struct.unpack(">i", head)[0]) if head else b""


def _end(*sockets: socket.socket) -> None:
    for each in sockets:
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()
