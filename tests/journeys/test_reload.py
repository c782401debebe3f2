"""OpenTelemetry's own exporters over a SIGHUP: the intake is started again, and nothing is lost or doubled."""

import signal
from pathlib import Path

import httpx
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import set_span_in_context

from tests.server.running_clew import RunningClew, clew_up

BODY_BYTES = 2 << 20
PATIENCE_S = 60


class Sender:
    """An SDK whose spans are all of one trace and leave as soon as they end."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._provider = TracerProvider()
        self._provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=10))
        self._tracer = self._provider.get_tracer("sender")
        self._last = self._tracer.start_span("last")

    def send(self, name: str) -> None:
        self._tracer.start_span(name, context=set_span_in_context(self._last)).end()

    def finish(self) -> None:
        """Send the last one, and wait until all have left."""
        self._last.end()
        self._provider.shutdown()

    def stored(self, running: RunningClew) -> list[str]:
        """Names of the spans that can be asked for."""
        trace_id = f"{self._last.get_span_context().trace_id:032x}"
        form = httpx.get(f"{running.dashboard_url}/requests/{trace_id}?format=json").json()
        return sorted(span["name"] for span in form.get("spans", []))


def write(path: Path, *, max_body_bytes: int) -> None:
    path.write_text(f"receivers:\n  otlp_http: {{max_body_bytes: {max_body_bytes}}}\n")


def takes_the_body(running: RunningClew) -> bool:
    """Whether the intake goes by the larger limit: then the body is no JSON, before it is too large."""
    answer = httpx.post(
        f"{running.otlp_url}/v1/logs",
        content=b" " * BODY_BYTES,
        headers={"content-type": "application/json"},
        timeout=PATIENCE_S,
    )
    return answer.status_code == 400


def test_what_exporters_send_over_a_hangup_arrives_once(tmp_path: Path) -> None:
    path, names = tmp_path / "clew.yaml", ["last"]
    write(path, max_body_bytes=BODY_BYTES - 1)
    with clew_up(tmp_path / "data", "--config", str(path)) as running:
        over_grpc = GrpcExporter(f"http://{running.urls['grpc']}", insecure=True, timeout=PATIENCE_S)
        over_http = HttpExporter(f"{running.otlp_url}/v1/traces", timeout=PATIENCE_S)
        senders = [Sender(over_grpc), Sender(over_http)]

        def send_and_ask() -> bool:
            names.append(f"{len(names):06}")
            for sender in senders:
                sender.send(names[-1])
            return takes_the_body(running)

        write(path, max_body_bytes=BODY_BYTES)
        running.process.send_signal(signal.SIGHUP)
        running.wait_for(send_and_ask, bool, timeout_s=PATIENCE_S)
        for sender in senders:
            sender.finish()

        for sender in senders:
            stored = running.wait_for(lambda sender=sender: sender.stored(running), lambda stored: "last" in stored)  # type: ignore[misc]
            assert stored == sorted(names)
