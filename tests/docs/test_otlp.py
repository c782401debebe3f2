"""The page's senders, as they are written there, are received."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from clew_collector.receivers.otlp_http import OtlpHttpConfig
from tests.collector.receivers.otlp_intake import OtlpIntake, otlp_intake
from tests.docs.pages import blocks, read_page
from tests.docs.programs import TIMEOUT_S, run
from tests.instrumentation.workers.fleet import environment
from tests.servers.node_sdk import NodeSdk
from tests.waiting import wait_until

PAGE = "receivers/otlp.md"
GRPC, HTTP = "127.0.0.1:4317", "127.0.0.1:4318"
CONFIGURED_BY_THE_ENVIRONMENT = """
from opentelemetry.exporter.otlp.proto.{module}.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
with provider.get_tracer("orders").start_as_current_span("checkout"):
    pass
provider.shutdown()
"""


def here(text: str, intake: OtlpIntake) -> str:
    """A text of the page for the ports of this intake."""
    return text.replace(GRPC, intake.grpc_address).replace(HTTP, intake.http_address)


def ids(attributes: list[KeyValue]) -> list[str]:
    return [each.value.string_value for each in attributes if each.key == "correlation.id"]


def test_the_pages_command_makes_the_request_that_it_asks_for(tmp_path: Path) -> None:
    page = read_page(PAGE)

    with otlp_intake() as intake:
        answer = run(here(page.command("curl"), intake), folder=tmp_path)

    assert answer.startswith("HTTP/1.1 200 OK")
    [log] = intake.logs
    assert log.body.string_value == "order taken"
    assert f"clew request {ids(list(log.attributes))[0]}" in page.commands


def test_the_pages_python_program_is_received(tmp_path: Path) -> None:
    page = read_page(PAGE)

    with otlp_intake() as intake:
        (tmp_path / "sender.py").write_text(here(page.files["sender.py"], intake))
        run(page.command("python sender.py").replace("python", sys.executable), folder=tmp_path)

    [span] = intake.spans
    assert span.name == "checkout"
    assert f"clew request {ids(list(span.attributes))[0]}" in page.commands


def test_the_pages_javascript_program_is_received(tmp_path: Path, javascript_sdk: NodeSdk) -> None:
    with otlp_intake() as intake:
        (tmp_path / "sender.cjs").write_text(here(read_page(PAGE).files["sender.cjs"], intake))
        env = environment({"NODE_PATH": str(javascript_sdk.modules)})
        subprocess.run([javascript_sdk.node, "sender.cjs"], cwd=tmp_path, env=env, check=True, timeout=TIMEOUT_S)
        wait_until(lambda: bool(intake.spans))

    [span] = intake.spans
    assert (span.name, ids(list(span.attributes))) == ("checkout", ["order-17"])


@pytest.mark.parametrize(("protocol", "module"), [("grpc", "grpc"), ("http/protobuf", "http")])
def test_an_sdk_with_the_pages_variables_is_received(protocol: str, module: str) -> None:
    exported = [command for command in read_page(PAGE).commands if command.startswith("export ")]
    variables = dict(command.removeprefix("export ").split("=", 1) for command in exported)
    assert variables["OTEL_EXPORTER_OTLP_PROTOCOL"] == "grpc"

    with otlp_intake() as intake:
        address = variables["OTEL_EXPORTER_OTLP_ENDPOINT"].replace(GRPC, GRPC if module == "grpc" else HTTP)
        changed = {"OTEL_EXPORTER_OTLP_ENDPOINT": here(address, intake), "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}
        env = environment(variables | changed | {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"})
        program = CONFIGURED_BY_THE_ENVIRONMENT.format(module=module)
        subprocess.run([sys.executable, "-c", program], env=env, check=True, timeout=TIMEOUT_S)

    assert [span.name for span in intake.spans] == ["checkout"]
    [payload] = intake.payloads
    assert payload.services == {variables["OTEL_SERVICE_NAME"]: 1}


def test_the_pages_collector_sends_to_both_ports() -> None:
    [config] = [yaml.safe_load(block) for block in blocks(PAGE, "yaml") if block.startswith("exporters:")]

    assert config["exporters"]["otlp/clew"]["endpoint"] == GRPC
    assert config["exporters"]["otlphttp/clew"]["endpoint"] == f"http://{HTTP}"
    assert {name for pipeline in config["service"]["pipelines"].values() for name in pipeline["exporters"]} <= set(
        config["exporters"]
    )


def test_the_pages_origins_are_a_setting() -> None:
    [config] = [yaml.safe_load(block) for block in blocks(PAGE, "yaml") if block.startswith("receivers:")]

    assert OtlpHttpConfig.model_validate(config["receivers"]["otlp_http"]).cors_origins == ("https://shop.example",)
