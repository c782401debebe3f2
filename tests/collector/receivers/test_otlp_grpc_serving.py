"""Where and how OTLP over gRPC is served: a port that another process holds, TLS, and an orderly end."""

import asyncio
import socket
from contextlib import closing
from pathlib import Path

import grpc
import pytest

from clew_collector.errors import ConfigError
from clew_collector.keys import KeyConfig, Keys, digest_of_key, new_key
from clew_collector.receivers.held_port import hold_port
from clew_collector.receivers.otlp_grpc import OtlpGrpcReceiver
from clew_collector.tls import TlsConfig, read_pem
from tests.collector.certificates import Authority
from tests.collector.otlp_builders import a_log, logs
from tests.collector.receivers.otlp_intake import TIMEOUT_S, otlp_intake
from tests.waiting import wait_until

HEALTH = "/grpc.health.v1.Health/Check"
LOGS = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
GOOD = logs(a_log("fine")).SerializeToString()


def test_what_is_in_flight_when_it_stops_is_answered() -> None:
    with otlp_intake() as intake, grpc.insecure_channel(intake.grpc_address) as channel:
        intake.may_answer.clear()
        call = channel.unary_unary(LOGS).future(GOOD, timeout=TIMEOUT_S)
        assert channel.unary_unary(HEALTH)(b"", timeout=TIMEOUT_S)

        intake.stop()
        wait_until(lambda: not _takes_connections(intake.grpc_address))
        assert not call.done()
        intake.may_answer.set()

        assert call.result(timeout=TIMEOUT_S) == b""
        assert [payload.body for payload in intake.payloads] == [GOOD]


def test_a_held_port_is_served_given_up_and_served_again() -> None:
    async def answer_twice(port: int) -> list[bytes]:
        answers = []
        for _ in range(2):
            receiver = OtlpGrpcReceiver(_keep, count=lambda *_: None)
            async with receiver.serving("127.0.0.1", port):
                for _ in range(20):  # each over a new connection: none may go to the socket that only holds the port
                    async with grpc.aio.insecure_channel(
                        f"127.0.0.1:{port}", [("grpc.use_local_subchannel_pool", 1)]
                    ) as channel:
                        answers.append(await channel.unary_unary(LOGS)(GOOD, timeout=TIMEOUT_S))
            assert not _takes_connections(f"127.0.0.1:{port}")
        return answers

    with closing(hold_port("127.0.0.1", 0)) as held:
        answers = asyncio.run(answer_twice(held.getsockname()[1]))

    assert answers == [b""] * 40


def test_a_port_that_another_holds_or_serves_cannot_be_held() -> None:
    with otlp_intake() as intake, closing(hold_port("127.0.0.1", 0)) as held:
        served = int(intake.grpc_address.rpartition(":")[2])
        for port in (held.getsockname()[1], served):
            with pytest.raises(OSError, match="in use"):
                hold_port("127.0.0.1", port)


def test_a_port_in_use_is_a_config_error() -> None:
    async def serve_on(port: int) -> None:
        async with OtlpGrpcReceiver(_keep, count=lambda *_: None).serving("127.0.0.1", port):
            pass

    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(ConfigError, match="cannot listen on 127"),
    ):
        asyncio.run(serve_on(taken.getsockname()[1]))


def test_over_tls_only_clients_with_a_certificate_are_let_in(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    signed, client = authority.sign(), authority.sign("sender")
    tls = TlsConfig(certificate=signed.certificate, key=signed.key, client_ca=authority.certificate)
    trusted = authority.certificate.read_bytes()
    with_certificate = grpc.ssl_channel_credentials(trusted, client.key.read_bytes(), client.certificate.read_bytes())

    with otlp_intake(tls=read_pem(tls)) as intake:
        with grpc.secure_channel(intake.grpc_address, with_certificate) as channel:
            assert channel.unary_unary(LOGS)(GOOD, timeout=TIMEOUT_S) == b""
        with (
            grpc.secure_channel(intake.grpc_address, grpc.ssl_channel_credentials(trusted)) as channel,
            pytest.raises(grpc.RpcError) as refused,
        ):
            channel.unary_unary(LOGS)(GOOD, timeout=TIMEOUT_S)

    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
    assert len(intake.payloads) == 1


def test_where_keys_are_asked_for_only_senders_with_one_are_let_in() -> None:
    key = new_key()
    known = KeyConfig(name="shop", sha256=digest_of_key(key).hex(), max_records_per_s=1)

    with otlp_intake(keys=Keys([known])) as intake, grpc.insecure_channel(intake.grpc_address) as channel:
        export = channel.unary_unary(LOGS)
        without = export.future(GOOD, timeout=TIMEOUT_S)
        wrong = export.future(GOOD, timeout=TIMEOUT_S, metadata=[("authorization", f"Bearer {new_key()}")])
        right = export.future(logs(*[a_log()] * 9).SerializeToString(), metadata=[("x-api-key", key)])

        assert [call.code() for call in (without, wrong)] == [grpc.StatusCode.UNAUTHENTICATED] * 2
        assert right.code() == grpc.StatusCode.OK
        assert intake.counts == {("refused", "logs", "no key"): 2}
        too_many = export.future(GOOD, metadata=[("authorization", f"Bearer {key}")])
        assert too_many.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "grpc-status-details-bin" in dict(too_many.trailing_metadata())
        assert channel.unary_unary(HEALTH)(b"", timeout=TIMEOUT_S)


async def _keep(_payload: object) -> bool:
    return True


def _takes_connections(address: str) -> bool:
    host, _, port = address.partition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True
