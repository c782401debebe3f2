"""The page on TLS and keys, followed step by step: certificate, key, clew.yaml, and two senders by its variables."""

import base64
import re
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.docs.pages import DOCS, blocks, read_page
from tests.docs.programs import TIMEOUT_S, run
from tests.instrumentation.workers.fleet import environment
from tests.server.running_clew import RunningClew, clew, clew_up

PAGE = "how-to/securing.md"
TEXT = (DOCS / PAGE).read_text()
SENDERS = {
    "OpenTelemetry's SDK": """
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
with provider.get_tracer("orders").start_as_current_span("checkout") as span:
    span.set_attribute("correlation.id", "order-17")
provider.shutdown()
""",
    "clew": """
import clew

clew.configure(service="orders")
with clew.request("checkout", correlation_id="order-17"):
    pass
""",
}


@dataclass(frozen=True)
class Secured:
    """A collector set up by the page."""

    running: RunningClew
    folder: Path
    key: str

    @property
    def url(self) -> str:
        """By the name that is in its certificate."""
        return self.running.otlp_url.replace("127.0.0.1", "localhost")

    def post(self, headers: dict[str, str]) -> httpx.Response:
        """Nothing at all, as logs."""
        verify = ssl.create_default_context(cafile=self.folder / "tls.crt")
        return httpx.post(f"{self.url}/v1/logs", json={}, headers=headers, verify=verify, trust_env=False)


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("secured")
    run(read_page(PAGE).command("openssl"), folder=folder)
    made = clew("keys", "new", "shop").stdout
    key, sha256 = re.findall(r"(?:^key:|sha256:)\s+(\S+)$", made, re.MULTILINE)
    [settings] = [block for block in blocks(PAGE, "yaml") if block.startswith("# clew.yaml")]
    settings = re.sub(r"sha256: \w+", f"sha256: {sha256}", settings).replace("/etc/clew/", f"{folder}/")
    (folder / "clew.yaml").write_text(settings)
    checked = clew("config", "check", str(folder / "clew.yaml"))
    assert checked.returncode == 0, checked.stderr
    with clew_up(folder / "data", "--config", str(folder / "clew.yaml")) as running:
        yield Secured(running, folder, key)


@pytest.mark.parametrize("program", SENDERS.values(), ids=SENDERS)
def test_a_sender_with_the_pages_variables_is_received(secured: Secured, program: str, tmp_path: Path) -> None:
    exported = [command for command in read_page(PAGE).commands if command.startswith("export ")]
    variables = dict(command.removeprefix("export ").split("=", 1) for command in exported)
    here = {
        "https://clew.example.com:4318": secured.url,
        "/etc/ssl/clew.crt": str(secured.folder / "tls.crt"),
        "authorization=Bearer%20KEY": f"authorization=Bearer%20{secured.key}",
    }
    assert list(variables.values()) == list(here)
    # As the page says, these would win over the certificate that is named.
    env = environment({name: here[value] for name, value in variables.items()} | {"NO_PROXY": "localhost"})
    env = {name: value for name, value in env.items() if name not in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")}

    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, timeout=TIMEOUT_S)

    assert (done.returncode, done.stderr) == (0, "")
    printed = secured.running.wait_for(
        lambda: clew("request", "order-17", "--data", str(secured.running.data)), lambda result: result.returncode == 0
    ).stdout
    assert "checkout" in printed


def test_a_key_is_taken_in_each_header_of_the_page(secured: Secured) -> None:
    key = secured.key
    half = base64.b64encode(f"name:{key}".encode()).decode()
    headers = {
        "Authorization: Bearer KEY": {"authorization": f"Bearer {key}"},
        "Authorization: ApiKey KEY": {"authorization": f"ApiKey {key}"},
        "name:KEY": {"authorization": f"ApiKey {half}"},
        "Authorization: Basic": {"authorization": f"Basic {half}"},
        "X-API-Key: KEY": {"x-api-key": key},
    }

    text = "".join(line for line in TEXT.splitlines() if line.startswith("| `"))
    assert [header for header in headers if f"`{header}`" not in text] == []
    assert {name: secured.post(shown).status_code for name, shown in headers.items()} == dict.fromkeys(headers, 200)


def test_without_a_key_that_is_known_the_answer_is_401_but_for_what_the_page_says(secured: Secured) -> None:
    verify = ssl.create_default_context(cafile=secured.folder / "tls.crt")
    urls = {
        "`GET /healthz` on 4318": f"{secured.url}/healthz",
        "`GET /health` on 9411": f"{secured.running.zipkin_url}/health",
    }

    assert secured.post({}).status_code == secured.post({"x-api-key": "clew_guessed"}).status_code == 401
    for place, url in urls.items():
        assert place in TEXT
        assert httpx.get(url, verify=verify, trust_env=False).status_code == 200
