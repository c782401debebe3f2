"""Lines over TLS (RFC 5425) arrive; clients that cannot or may not speak it are turned away and counted."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from clew_collector.tls import TlsConfig, server_context
from tests.collector.certificates import Authority, Signed
from tests.collector.receivers.test_syslog import DEADLINE_S, Intake, eventually

FRAME = b"17 <14>1 - - - - - -"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def intake(authority: Authority) -> Intake:
    return intake_of(authority)


def intake_of(authority: Authority, *, client_ca: Path | None = None, min_version: str = "1.2") -> Intake:
    signed = authority.sign()
    config = {"certificate": signed.certificate, "key": signed.key, "client_ca": client_ca, "min_version": min_version}
    return Intake(tls=server_context(TlsConfig.model_validate(config)))


def client_context(authority: Authority, signed: Signed | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.certificate))
    if signed is not None:
        context.load_cert_chain(signed.certificate, signed.key)
    return context


def connect(intake: Intake, context: ssl.SSLContext) -> ssl.SSLSocket:
    plain = socket.create_connection(intake.tls_address, timeout=DEADLINE_S)
    return context.wrap_socket(plain, server_hostname="localhost")


def send_and_wait(intake: Intake, context: ssl.SSLContext, data: bytes) -> None:
    """Send, then wait until the server closes; returns when it has, whatever it said."""
    with suppress(ssl.SSLError, ConnectionError), connect(intake, context) as connection:
        connection.sendall(data)
        connection.recv(1)


def test_counted_messages_over_tls_are_records(intake: Intake, authority: Authority) -> None:
    async def send() -> None:
        def talk() -> None:
            with connect(intake, client_context(authority)) as connection:
                connection.sendall(b"23 <14>1 - h a - - - o\nn e7 <14")
                connection.sendall(b">two")
                connection.unwrap()

        await asyncio.to_thread(talk)

    intake.take(send, until=lambda: len(intake.logs) == 2)

    assert intake.bodies == ["o\nn e", "two"]
    assert intake.counts == {}


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_what_comes_with_the_last_bytes_of_the_handshake_is_not_lost(
    intake: Intake, authority: Authority, version: ssl.TLSVersion
) -> None:
    context = client_context(authority)
    context.minimum_version = context.maximum_version = version

    async def send() -> None:
        await asyncio.to_thread(send_in_one_piece, intake, context, b"8 <14>once")

    intake.take(send, until=lambda: bool(intake.logs))

    assert intake.bodies == ["once"]


def send_in_one_piece(intake: Intake, context: ssl.SSLContext, data: bytes) -> None:
    """A client that sends its last flight, its first record and its goodbye in one write, as fast ones do."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(to_client, to_server, server_hostname="localhost")
    with socket.create_connection(intake.tls_address, timeout=DEADLINE_S) as plain:
        while True:
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                plain.sendall(to_server.read())
                to_client.write(plain.recv(65536))
        client.write(data)
        with suppress(ssl.SSLWantReadError):
            client.unwrap()
        plain.sendall(to_server.read())


def test_clients_without_a_known_certificate_are_turned_away_and_counted(authority: Authority, tmp_path: Path) -> None:
    intake = intake_of(authority, client_ca=authority.certificate)
    stranger = Authority(tmp_path, name="stranger").sign("stranger")
    known = authority.sign("shipper")

    async def send() -> None:
        for signed in (None, stranger):
            await asyncio.to_thread(send_and_wait, intake, client_context(authority, signed), FRAME)

        def talk() -> None:
            with connect(intake, client_context(authority, known)) as connection:
                connection.sendall(b"8 <14>mine")

        await asyncio.to_thread(talk)

    intake.take(send, until=lambda: len(intake.logs) == 1 and len(intake.counts) == 2)

    assert intake.bodies == ["mine"]
    assert intake.counts == {
        "refused: TLS without a client certificate": 1,
        "refused: TLS with a client certificate that is not trusted": 1,
    }


def an_old_client(authority: Authority) -> ssl.SSLContext:
    context = client_context(authority)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


@pytest.mark.parametrize(
    ("client", "reason"),
    [
        (an_old_client, "TLS of a version that is too old"),
        (lambda _: ssl.create_default_context(), "TLS broken off by the client"),
    ],
    ids=["old", "trusts nobody"],
)
def test_a_handshake_that_fails_is_counted(
    authority: Authority, client: Callable[[Authority], ssl.SSLContext], reason: str
) -> None:
    intake = intake_of(authority, min_version="1.3")

    async def send() -> None:
        await asyncio.to_thread(send_and_wait, intake, client(authority), FRAME)

    intake.take(send, until=lambda: bool(intake.counts))

    assert intake.counts == {f"refused: {reason}": 1}


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"<14>plain\n", "no TLS"),
        (b"GET / HTTP/1.1\r\n\r\n", "no TLS"),
        (b"", "TLS broken off by the client"),
        (b"\x16\x03\x01", "TLS broken off by the client"),
    ],
)
def test_who_does_not_speak_tls_is_turned_away_and_counted(intake: Intake, said: bytes, reason: str) -> None:
    async def send() -> None:
        with socket.create_connection(intake.tls_address, timeout=DEADLINE_S) as connection:
            connection.sendall(said)

    intake.take(send, until=lambda: bool(intake.counts))

    assert intake.logs == []
    assert intake.counts == {f"refused: {reason}": 1}


def test_a_handshake_that_does_not_end_does_not_keep_the_collector_from_stopping(intake: Intake) -> None:
    async def send() -> None:
        hanging = socket.create_connection(intake.tls_address, timeout=DEADLINE_S)
        hanging.sendall(b"\x16\x03\x01")
        intake.send_datagrams(b"<14>one")
        await eventually(lambda: bool(intake.logs))

    asyncio.run(asyncio.wait_for(asyncio.to_thread(intake.take, send, until=lambda: True), DEADLINE_S / 3))

    assert intake.bodies == ["one"]
