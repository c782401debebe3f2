"""A client that does not get on with its request is cut, one that does is waited for, however long it takes."""

import asyncio
import socket
import time
from collections import Counter as Tally
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

import pytest
import uvicorn

from clew_collector.receivers.answering import Answer, send_answer
from clew_collector.receivers.body import ClientGone, Receive, Scope, Send, read_body
from clew_collector.receivers.patience import Patience, patient_protocol
from clew_server.process import run_async

DEADLINE_S = 20.0
HASTY = Patience(head_s=0.3, body_s=0.3, min_body_bytes_per_s=100, max_head_bytes=4096)
LONG = Patience(head_s=60, body_s=60, max_head_bytes=4096)
HEAD = b"POST / HTTP/1.1\r\nhost: x\r\n"
CUT = b"HTTP/1.1 408 Request Timeout\r\n"
"""What a client is told."""


class Served:
    """A server on a free port that answers 200 with the size of the body, and what became of its clients."""

    def __init__(self, patience: Patience, *, keep_alive_s: int = 60) -> None:
        self._patience = patience
        self._keep_alive_s = keep_alive_s
        self.cut: Tally[str] = Tally()
        self.gone = 0
        self.address = ("127.0.0.1", 0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/early":  # an answer that does not wait for the body
            await send_answer(send, Answer(status=400, content_type="text/plain", body=b"no"))
            return
        try:
            body = await read_body(receive, declared_bytes=None, max_bytes=1 << 30)
        except ClientGone:
            self.gone += 1
            return
        await send_answer(send, Answer(status=200, content_type="text/plain", body=str(len(body)).encode()))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        listening = socket.create_server(self.address)
        self.address = listening.getsockname()
        protocol = patient_protocol(self._patience, lambda reason: self.cut.update([reason]))
        config = uvicorn.Config(
            self, http=protocol, ws="none", lifespan="off", log_level="error", timeout_keep_alive=self._keep_alive_s
        )
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield
        finally:
            server.should_exit = True
            await serving

    def meet(self, client: Callable[["Served"], None]) -> None:
        """Serve while a client talks in a thread of its own."""

        async def meet() -> None:
            async with self.running():
                await asyncio.to_thread(client, self)

        run_async(meet())


@contextmanager
def connected(served: Served) -> Iterator[socket.socket]:
    with socket.create_connection(served.address, timeout=DEADLINE_S) as connection:
        yield connection


def all_answered(connection: socket.socket) -> bytes:
    """What is answered until the server closes."""
    answered = b""
    while piece := connection.recv(65536):
        answered += piece
    return answered


def drip(connection: socket.socket, data: bytes | Sequence[bytes], *, every_s: float) -> bytes:
    """Send byte after byte, or piece after piece, until the server has had enough; what it answered."""
    connection.settimeout(every_s)
    for piece in data:
        try:
            connection.sendall(bytes([piece]) if isinstance(piece, int) else piece)
            return connection.recv(65536)
        except TimeoutError:
            continue
        except ConnectionError:
            return b""
    return b""


@pytest.mark.parametrize(
    ("start", "slowly"),
    [
        (b"POST /", b"x" * 1000),
        (HEAD, b"x" * 1000),
        (HEAD + b"content-length: 1000\r\n\r\n", b"x" * 1000),
        (HEAD + b"transfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 200),
        (b"\r\n", b"\r\n" * 500),
    ],
    ids=["request line", "header", "body", "chunks", "empty lines"],
)
def test_a_client_that_sends_a_byte_now_and_then_is_cut(start: bytes, slowly: bytes) -> None:
    def client(served: Served) -> None:
        with connected(served) as connection:
            connection.sendall(start)
            assert drip(connection, slowly, every_s=0.05).startswith(CUT)

    served = Served(HASTY)
    served.meet(client)

    assert served.cut == {"too slow": 1}


def test_a_client_that_falls_silent_within_its_request_is_cut_and_the_application_sees_it_go() -> None:
    def client(served: Served) -> None:
        with connected(served) as connection:
            connection.sendall(HEAD + b"content-length: 1000\r\n\r\nhalf")
            assert all_answered(connection).startswith(CUT)

    served = Served(HASTY)
    served.meet(client)

    assert served.cut == {"too slow": 1}
    assert served.gone == 1


def test_a_client_that_gets_on_is_waited_for_beyond_the_time_that_is_given_to_all() -> None:
    def client(served: Served) -> None:
        with connected(served) as connection:
            connection.sendall(HEAD + b"content-length: 200\r\nconnection: close\r\n\r\n")
            started_s = time.monotonic()
            for _ in range(20):
                connection.sendall(b"x" * 10)
                time.sleep(0.04)  # 250 bytes a second, where 100 are enough
            assert time.monotonic() - started_s > 2 * HASTY.body_s
            assert all_answered(connection).endswith(b"\r\n200")

    served = Served(HASTY)
    served.meet(client)

    assert served.cut == {}


def test_between_requests_only_the_keep_alive_counts() -> None:
    def client(served: Served) -> None:
        with connected(served) as connection:
            for _ in range(3):
                connection.sendall(HEAD + b"content-length: 1\r\n\r\nx")
                assert connection.recv(65536).startswith(b"HTTP/1.1 200")
                time.sleep(1.5 * HASTY.head_s)

    served = Served(HASTY)
    served.meet(client)

    assert served.cut == {}


def test_a_client_that_never_says_anything_has_as_long_as_between_requests() -> None:
    def client(served: Served) -> None:
        with connected(served) as connection:
            assert all_answered(connection) == b""

    served = Served(LONG, keep_alive_s=1)
    served.meet(client)

    assert served.cut == {}


def test_headers_without_end_are_refused() -> None:
    def client(served: Served) -> None:
        with connected(served) as connection:
            connection.sendall(HEAD)
            assert drip(connection, [b"x: " + b"y" * 200 + b"\r\n"] * 1000, every_s=0.02).startswith(b"HTTP/1.1 431 ")

    served = Served(LONG)
    served.meet(client)

    assert served.cut == {"headers too large": 1}


@pytest.mark.parametrize("said", [b"\x16\x03\x01\x02\x00", b"hello\r\n\r\n", HEAD + b"no colon\r\n\r\n"])
def test_what_is_no_http_is_refused(said: bytes) -> None:
    def client(served: Served) -> None:
        with connected(served) as connection:
            connection.sendall(said)
            assert all_answered(connection).startswith(b"HTTP/1.1 400 ")

    served = Served(LONG)
    served.meet(client)

    assert served.cut == {"not HTTP": 1}


def test_a_request_that_is_cut_off_harms_nobody_else() -> None:
    def client(served: Served) -> None:
        with connected(served) as slow, connected(served) as quick:
            slow.sendall(HEAD + b"content-length: 10\r\n\r\n")
            quick.sendall(HEAD + b"content-length: 1\r\nconnection: close\r\n\r\nx")
            assert all_answered(quick).startswith(b"HTTP/1.1 200 ")

    served = Served(LONG)
    served.meet(client)

    assert served.gone == 1


def test_a_body_nobody_waits_for_is_cut_without_a_second_answer() -> None:
    def client(served: Served) -> None:
        with connected(served) as connection:
            connection.sendall(b"POST /early HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nx")
            answered = all_answered(connection)
            assert answered.startswith(b"HTTP/1.1 400 ")
            assert answered.count(b"HTTP/1.1") == 1

    served = Served(HASTY)
    served.meet(client)

    assert served.cut == {"too slow": 1}


def test_requests_in_one_piece_are_all_answered() -> None:
    def client(served: Served) -> None:
        with connected(served) as connection:
            one = HEAD + b"content-length: 3\r\n\r\nabc"
            last = HEAD + b"connection: close\r\ncontent-length: 3\r\n\r\nabc"
            connection.sendall(one * 50 + last)
            assert all_answered(connection).count(b"HTTP/1.1 200 ") == 51

    served = Served(HASTY)
    served.meet(client)

    assert served.cut == {}
