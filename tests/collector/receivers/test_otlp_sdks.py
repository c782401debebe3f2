"""SDKs of other languages send over each of OTLP's protocols, and every record arrives once."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.collector.receivers.otlp_intake import OtlpIntake, otlp_intake
from tests.servers import node_sdk
from tests.servers.node_sdk import NodeSdk

COUNT = 300
TIMEOUT_S = 60
NODE_PROGRAM = Path(node_sdk.__file__).with_name("node_sdk_sends.cjs")


@pytest.fixture
def intake() -> Iterator[OtlpIntake]:
    with otlp_intake() as intake:
        yield intake


def run(command: list[str], **env: str) -> None:
    done = subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True, timeout=TIMEOUT_S)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf", "http/json"])
def test_all_records_of_the_javascript_sdk_arrive(intake: OtlpIntake, protocol: str, javascript_sdk: NodeSdk) -> None:
    address = intake.grpc_address if protocol == "grpc" else intake.http_address

    run([javascript_sdk.node, str(NODE_PROGRAM), protocol, address, str(COUNT)], NODE_PATH=str(javascript_sdk.modules))

    assert sorted(span.name for span in intake.spans) == sorted(f"GET /stock/{number}" for number in range(COUNT))
    assert [log.attributes[0].value.int_value for log in intake.logs] == list(range(COUNT))
    assert {log.body.string_value for log in intake.logs} == {f"stock {number}" for number in range(COUNT)}
    assert {service for payload in intake.payloads for service in payload.services} == {"storefront"}
    assert not intake.counts


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
@pytest.mark.parametrize("signal", ["logs", "traces"])
def test_all_records_of_gos_sdk_arrive(intake: OtlpIntake, protocol: str, signal: str, telemetrygen: Path) -> None:
    address = intake.grpc_address if protocol == "grpc" else intake.http_address
    over_http = [] if protocol == "grpc" else ["--otlp-http"]
    target = ["--otlp-endpoint", address, "--otlp-insecure", *over_http, "--service", "storefront"]

    run([str(telemetrygen), signal, *target, "--rate", "0", f"--{signal}", str(COUNT)])

    if signal == "logs":
        assert [log.body.string_value for log in intake.logs] == ["the message"] * COUNT
    else:  # each trace is a call: a client's span and a server's
        assert len({span.span_id for span in intake.spans}) == 2 * COUNT
        assert len({span.trace_id for span in intake.spans}) == COUNT
    assert {service for payload in intake.payloads for service in payload.services} == {"storefront"}
    assert not intake.counts


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_gos_sdk_is_told_that_metrics_are_not_kept(intake: OtlpIntake, protocol: str, telemetrygen: Path) -> None:
    address = intake.grpc_address if protocol == "grpc" else intake.http_address
    over_http = [] if protocol == "grpc" else ["--otlp-http"]

    command = [
        str(telemetrygen),
        "metrics",
        "--otlp-endpoint",
        address,
        "--otlp-insecure",
        *over_http,
        "--metrics",
        "5",
    ]
    done = subprocess.run([*command, "--rate", "0"], capture_output=True, text=True, timeout=TIMEOUT_S)

    assert "not metrics" in done.stdout + done.stderr
    assert intake.counts[("refused", "metrics", "not kept")] > 0
