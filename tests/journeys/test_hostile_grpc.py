"""Clients of gRPC that mean harm, or have lost their way, keep no honest export waiting and cost little memory."""

import contextlib
import random
import resource
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import grpc
import httpx
import pytest

from tests.collector.otlp_builders import a_log, logs
from tests.journeys.senders import GRPC_EXPORT
from tests.journeys.test_hostile_clients import (
    GROWTH_MIB,
    IDLE,
    OTLP,
    SLOW,
    connections,
    memory_mib,
)
from tests.server.running_clew import RunningClew, clew_up

CUT_WITHIN_S = 30.0
EXPORT_TIMEOUT_S = 10.0
"""How long OpenTelemetry's exporters wait for an answer, before they send the same again."""
TRIES = 3
RETRIED = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, PING, GO_AWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS = 1, 4
HONEST = logs(a_log("honest")).SerializeToString()


def frame(kind: int, flags: int, stream: int, content: bytes = b"") -> bytes:
    """A frame of HTTP/2 (RFC 9113, section 4.1)."""
    return len(content).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + content


def field(name: bytes, value: bytes) -> bytes:
    """A header by itself (RFC 7541, section 6.2.2)."""
    return bytes((0, len(name))) + name + bytes((len(value),)) + value


HELLO = PREFACE + frame(SETTINGS, 0, 0)
EXPORT = b"".join(
    field(name, value)
    for name, value in (
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", GRPC_EXPORT.encode()),
        (b":authority", b"x"),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
    )
)
CALL = frame(HEADERS, END_HEADERS, 1, EXPORT)
FLOODS: Mapping[str, Callable[[], bytes]] = {
    "no HTTP/2": lambda: b"POST / HTTP/1.1\r\nhost: x\r\n\r\n" * 100,
    "TLS": lambda: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    "noise": lambda: HELLO + random.Random(3).randbytes(100_000),
    "frames of noise": lambda: HELLO + b"".join(noise(random.Random(seed)) for seed in range(500)),
    "too large a frame": lambda: HELLO + (2**24 - 1).to_bytes(3) + bytes((DATA, 0)) + (1).to_bytes(4) + bytes(10**6),
    "headers without end": lambda: HELLO + frame(HEADERS, 0, 1, EXPORT) + frame(CONTINUATION, 0, 1, EXPORT) * 5_000,
    "calls that are reset": lambda: HELLO + b"".join(reset_call(2 * n + 1) for n in range(5_000)),
    "pings": lambda: HELLO + frame(PING, 0, 0, bytes(8)) * 20_000,
    "settings": lambda: HELLO + frame(SETTINGS, 0, 0, b"\0\4\0\0\xff\xff") * 20_000,
    "empty data": lambda: HELLO + CALL + frame(DATA, 0, 1) * 20_000,
    "a message that never ends": lambda: HELLO + CALL + frame(DATA, 0, 1, b"\0\x00\xff\xff\xff" + bytes(1000)),
    "no window": lambda: HELLO + frame(SETTINGS, 0, 0, b"\0\4\0\0\0\0") + CALL + frame(DATA, END_STREAM, 1, bytes(5)),
}


def noise(chance: random.Random) -> bytes:
    return frame(
        chance.randrange(12), chance.randrange(256), chance.randrange(9), chance.randbytes(chance.randrange(99))
    )


def reset_call(stream: int) -> bytes:
    return frame(HEADERS, END_HEADERS, stream, EXPORT) + frame(RESET, 0, stream, bytes(4))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningClew]:
    with clew_up(tmp_path_factory.mktemp("hostile-grpc")) as running:
        yield running


def address_of(running: RunningClew) -> tuple[str, int]:
    host, _, port = running.urls["grpc"].rpartition(":")
    return host, int(port)


def is_answered(running: RunningClew) -> bool:
    """Whether an honest exporter gets its answer, each time on a connection of its own; else raises the last error."""
    for _ in range(TRIES - 1):
        try:
            export(running)
        except grpc.RpcError as error:
            if error.code() not in RETRIED:
                raise
        else:
            return True
    export(running)
    return True


def export(running: RunningClew) -> None:
    with grpc.insecure_channel(running.urls["grpc"], options=(("grpc.use_local_subchannel_pool", 1),)) as channel:
        channel.unary_unary(GRPC_EXPORT)(HONEST, timeout=EXPORT_TIMEOUT_S)


def said_hello(address: tuple[str, int], count: int) -> "contextlib.AbstractContextManager[list[socket.socket]]":
    """Connections whose handshake is done."""
    return _said(address, count, HELLO)


@contextlib.contextmanager
def _said(address: tuple[str, int], count: int, words: bytes) -> Iterator[list[socket.socket]]:
    with connections(address, count) as some:
        for connection in some:
            connection.sendall(words)
        yield some


@pytest.mark.parametrize("words", [b"", PREFACE[:10], PREFACE], ids=["nothing", "half a preface", "no settings"])
def test_hundreds_of_half_handshakes_are_cut_and_exports_are_answered_meanwhile(
    running: RunningClew, words: bytes
) -> None:
    before_mib = memory_mib(running)
    with _said(address_of(running), SLOW, words) as half:
        deadline_s = time.monotonic() + CUT_WITHIN_S
        while half:
            assert time.monotonic() < deadline_s, f"{len(half)} are still there"
            assert is_answered(running)
            half = [connection for connection in half if is_there(connection)]
            time.sleep(0.5)  # they do nothing in it

    assert memory_mib(running) < before_mib + GROWTH_MIB


def test_hundreds_that_send_a_byte_a_second_keep_no_export_waiting(running: RunningClew) -> None:
    before_mib = memory_mib(running)
    with contextlib.ExitStack() as stack:
        start = HELLO + CALL + frame(DATA, 0, 1, b"\0\0\1\0\0")
        slow = stack.enter_context(_said(address_of(running), SLOW, start))
        drop = frame(DATA, 0, 1, b"x")
        for byte in range(len(drop)):
            for connection in slow:
                connection.sendall(drop[byte : byte + 1])
            assert is_answered(running)
            time.sleep(0.5)  # that is what they do

        assert memory_mib(running) < before_mib + GROWTH_MIB


def test_idle_channels_keep_no_export_waiting(running: RunningClew) -> None:
    before_mib = memory_mib(running)
    with said_hello(address_of(running), IDLE):
        assert all(is_answered(running) for _ in range(5))

        assert memory_mib(running) < before_mib + GROWTH_MIB


@pytest.mark.parametrize("flood", FLOODS)
def test_floods_and_noise_harm_no_other(running: RunningClew, flood: str) -> None:
    before_mib = memory_mib(running)
    said = FLOODS[flood]()
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            connection = stack.enter_context(socket.create_connection(address_of(running), timeout=0.2))
            with contextlib.suppress(OSError):
                connection.sendall(said)
        assert is_answered(running)

        assert memory_mib(running) < before_mib + GROWTH_MIB


def test_huge_metadata_is_refused_with_little_memory(running: RunningClew) -> None:
    before_mib = memory_mib(running)
    with grpc.insecure_channel(running.urls["grpc"]) as channel:
        export = channel.unary_unary(GRPC_EXPORT)
        for _ in range(20):
            with pytest.raises(grpc.RpcError) as refused:
                export(HONEST, timeout=10, metadata=tuple((f"x-{n}", "y" * 10_000) for n in range(100)))

    assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert is_answered(running)
    assert memory_mib(running) < before_mib + GROWTH_MIB


def test_two_thousand_connections_are_taken_where_a_process_begins_with_a_thousand_descriptors(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.ExitStack() as stack:
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
        try:
            running = stack.enter_context(clew_up(tmp_path))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        stack.enter_context(said_hello(address_of(running), IDLE // 2))
        idle = stack.enter_context(connections(OTLP.address(running), IDLE // 2))
        idle[-1].sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")

        assert idle[-1].recv(100).startswith(b"HTTP/1.1 ")
        assert is_answered(running)
        assert OTLP.is_answered(running)
        assert httpx.get(f"{running.dashboard_url}/health").is_success


def is_there(connection: socket.socket) -> bool:
    """Whether the server still has this connection; what it has said of itself is read."""
    connection.setblocking(False)
    try:
        while connection.recv(1 << 16):
            pass
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
