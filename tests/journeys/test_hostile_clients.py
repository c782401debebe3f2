"""Clients that mean harm, or have lost their way, cost a running collector little, and nobody else anything."""

import contextlib
import gzip
import socket
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from clew_collector.model import record
from tests.collector.otlp_builders import a_log, logs
from tests.server.running_clew import RunningClew, clew_up

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MIB = 1 << 20
SLOW = 300
IDLE = 2_000
QUICK_S = 10.0
"""What an honest sender may have to wait at most meanwhile, on a machine that does much else."""
CUT_WITHIN_S = 45.0
GROWTH_MIB = 150


@record
class Protocol:
    """A way in: where it is, how a request begins, and an honest one. A new way in is one more of `PROTOCOLS`."""

    name: str
    address: Callable[[RunningClew], tuple[str, int]]
    path: str
    content_type: str
    honest_body: bytes

    def head(self, *, length: int, more: str = "") -> bytes:
        lines = f"POST {self.path} HTTP/1.1\r\nhost: x\r\ncontent-type: {self.content_type}\r\n"
        return f"{lines}content-length: {length}\r\n{more}\r\n".encode()

    def is_answered(self, running: RunningClew) -> bool:
        """Whether an honest request is answered, and soon."""
        host, port = self.address(running)
        started_s = time.monotonic()
        answer = httpx.post(
            f"http://{host}:{port}{self.path}",
            content=self.honest_body,
            headers={"content-type": self.content_type},
            timeout=QUICK_S,
        )
        return answer.is_success and time.monotonic() - started_s < QUICK_S


def address_of(name: str) -> Callable[[RunningClew], tuple[str, int]]:
    def address(running: RunningClew) -> tuple[str, int]:
        url = httpx.URL(running.urls[name])
        return url.host, url.port or 0

    return address


OTLP = Protocol(
    name="OTLP/HTTP",
    address=address_of("otlp"),
    path="/v1/logs",
    content_type="application/x-protobuf",
    honest_body=logs(a_log("honest")).SerializeToString(),
)
ZIPKIN = Protocol(
    name="Zipkin",
    address=address_of("zipkin"),
    path="/api/v2/spans",
    content_type="application/json",
    honest_body=b'[{"traceId": "000000000000abcd", "id": "000000000000abcd"}]',
)
ELASTIC_BULK = Protocol(
    name="_bulk",
    address=address_of("bulk"),
    path="/_bulk",
    content_type="application/x-ndjson",
    honest_body=b'{"create": {"_index": "logs"}}\n{"message": "honest"}\n',
)
PROTOCOLS = (OTLP, ZIPKIN, ELASTIC_BULK)
COMPRESS: Mapping[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstd.compress,
}
each_protocol = pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.name)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningClew]:
    with clew_up(tmp_path_factory.mktemp("hostile")) as running:
        yield running


def memory_mib(running: RunningClew) -> float:
    """What the processes under the supervisor hold in memory now."""
    tasks = Path(f"/proc/{running.process.pid}/task")
    children = [pid for task in tasks.iterdir() for pid in (task / "children").read_text().split()]
    statuses = [Path(f"/proc/{pid}/status").read_text() for pid in children]
    return sum(int(status.partition("VmRSS:")[2].split()[0]) for status in statuses) / 1024


def connected(protocol: Protocol, running: RunningClew) -> socket.socket:
    return socket.create_connection(protocol.address(running), timeout=10)


@contextlib.contextmanager
def connections(address: tuple[str, int], count: int) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(socket.create_connection(address, timeout=10)) for _ in range(count)]


def send_a_byte(connection: socket.socket, byte: bytes) -> bool:
    """Whether the server still has this connection."""
    try:
        connection.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            connection.recv(1)
            return False  # answered, or closed
        connection.sendall(byte)
    except OSError:
        return False
    return True


def test_hundreds_that_send_a_byte_a_second_are_cut_and_others_are_answered_meanwhile(running: RunningClew) -> None:
    before_mib = memory_mib(running)
    with contextlib.ExitStack() as stack:
        slow: list[socket.socket] = []
        for protocol in PROTOCOLS:
            for start in (b"POST / HTTP/1.1\r\nx: ", protocol.head(length=100_000)):
                some = stack.enter_context(connections(protocol.address(running), SLOW))
                for connection in some:
                    connection.sendall(start)
                slow += some
        deadline_s = time.monotonic() + CUT_WITHIN_S
        while slow:
            assert time.monotonic() < deadline_s, f"{len(slow)} are still there"
            for protocol in PROTOCOLS:
                assert protocol.is_answered(running)
            slow = [connection for connection in slow if send_a_byte(connection, b"x")]
            time.sleep(1)  # that is what they do

    assert memory_mib(running) < before_mib + GROWTH_MIB


def test_idle_connections_keep_nobody_waiting(running: RunningClew) -> None:
    before_mib = memory_mib(running)
    addresses = [protocol.address(running) for protocol in PROTOCOLS] + [running.syslog_address]
    with contextlib.ExitStack() as stack:
        for address in addresses:
            stack.enter_context(connections(address, IDLE // len(addresses)))
        for protocol in PROTOCOLS:
            assert protocol.is_answered(running)
        with socket.create_connection(running.syslog_address) as connection:
            connection.sendall(b'<14>1 - h a - - [x@1 request_id="among-the-idle"] here\n')
        url = f"{running.dashboard_url}/requests/among-the-idle?format=json"
        running.wait_for(lambda: httpx.get(url), lambda answer: answer.is_success)

    assert memory_mib(running) < before_mib + GROWTH_MIB


@each_protocol
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
def test_bombs_are_refused_with_little_memory(running: RunningClew, protocol: Protocol, encoding: str) -> None:
    bomb = COMPRESS[encoding](bytes(300 * MIB))
    host, port = protocol.address(running)
    before_mib = memory_mib(running)

    def send(_: int) -> int:
        headers = {"content-type": protocol.content_type, "content-encoding": encoding}
        url = f"http://{host}:{port}{protocol.path}"
        return httpx.post(url, content=bomb, headers=headers, timeout=30).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = set(pool.map(send, range(32)))

    assert statuses == {413}
    assert memory_mib(running) < before_mib + GROWTH_MIB
    assert protocol.is_answered(running)


@each_protocol
def test_clients_that_vanish_or_talk_nonsense_harm_nobody(running: RunningClew, protocol: Protocol) -> None:
    before_mib = memory_mib(running)
    for said in (
        protocol.head(length=10 * MIB) + b"x" * MIB,  # gone within its body
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500,  # TLS, on a port without
        b"GET / HTTP/1.1\r\nhost: x\r\n\r\n" * 500 + b"\xff\xfe garbage\r\n\r\n" * 500,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST /v1/logs HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        b"POST /v1/logs HTTP/1.1\r\ncontent-length: -5\r\n\r\n",
    ):
        for _ in range(20):
            with connected(protocol, running) as connection, contextlib.suppress(ConnectionError):
                connection.sendall(said)
        assert protocol.is_answered(running), said[:30]

    assert memory_mib(running) < before_mib + GROWTH_MIB


@each_protocol
def test_headers_without_end_are_refused_with_little_memory(running: RunningClew, protocol: Protocol) -> None:
    before_mib = memory_mib(running)

    with connected(protocol, running) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nhost: x\r\n")
        sent_mib = 0
        with contextlib.suppress(OSError):
            while sent_mib < 300:
                connection.sendall((b"x: " + b"y" * 1000 + b"\r\n") * 1044)
                sent_mib += 1

    assert sent_mib < 50
    assert memory_mib(running) < before_mib + GROWTH_MIB
    assert protocol.is_answered(running)


def test_syslog_senders_that_vanish_or_talk_nonsense_harm_nobody(running: RunningClew) -> None:
    before_mib = memory_mib(running)
    with connections(running.syslog_address, SLOW) as slow:
        for connection in slow:
            connection.sendall(b"60000 <14>" + b"x" * 30_000)  # half a message
        with contextlib.suppress(ConnectionError), socket.create_connection(running.syslog_address) as endless:
            for _ in range(20):
                endless.sendall(b"y" * MIB)
        with socket.create_connection(running.syslog_address) as connection:
            connection.sendall(b"\x16\x03\x01" + b"\0" * 100)
        with socket.create_connection(running.syslog_address) as connection:
            connection.sendall(b'<14>1 - h a - - [x@1 request_id="honest-line"] here\n')
        url = f"{running.dashboard_url}/requests/honest-line?format=json"
        running.wait_for(lambda: httpx.get(url), lambda answer: answer.is_success)

    assert memory_mib(running) < before_mib + GROWTH_MIB
