"""A service that knows nothing of clew, only OpenTelemetry's own SDK and exporters, is received by value."""

from collections.abc import Iterator
from contextlib import suppress

import httpx
import pytest
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import Link, SpanKind

from tests.server.running_clew import RunningClew, clew_up

RESOURCE = Resource.create({"service.name": "foreign", "service.version": "2.1"})


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningClew]:
    with clew_up(tmp_path_factory.mktemp("sdk")) as running:
        yield running


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip], ids=lambda each: each.name)
def test_spans_of_the_official_sdk_come_back_by_value(running: RunningClew, compression: Compression) -> None:
    provider = TracerProvider(resource=RESOURCE)
    exporter = OTLPSpanExporter(endpoint=f"{running.otlp_url}/v1/traces", compression=compression)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("foreign.lib", "1.2")
    with tracer.start_as_current_span("cause") as cause:
        pass
    with (
        suppress(ValueError),
        tracer.start_as_current_span(
            "GET /stock",
            kind=SpanKind.SERVER,
            links=[Link(cause.get_span_context(), {"why": "cause"})],
            attributes={"items": [1, 2], "ok": True, "ratio": 0.5, "http.request.method": "GET"},
        ) as span,
    ):
        span.add_event("cache miss", {"key": "teapot"})
        raise ValueError("no stock")
    trace_id = f"{span.get_span_context().trace_id:032x}"

    url = f"{running.dashboard_url}/requests/{trace_id}?format=json"
    form = running.wait_for(lambda: httpx.get(url), lambda answer: answer.is_success).json()

    [stored] = form["spans"]
    assert (stored["service"], stored["name"], stored["kind"]) == ("foreign", "GET /stock", "server")
    assert (stored["status"], stored["scope"]) == ("error", "foreign.lib")
    assert stored["attributes"] == {"items": [1, 2], "ok": True, "ratio": 0.5, "http.request.method": "GET"}
    assert stored["resource"]["service.version"] == "2.1"
    assert [event["name"] for event in stored["events"]] == ["cache miss", "exception"]
    assert stored["events"][1]["attributes"]["exception.message"] == "no stock"
    assert stored["links"][0]["span_id"] == f"{cause.get_span_context().span_id:016x}"
    assert stored["links"][0]["attributes"] == {"why": "cause"}


def test_logs_of_the_official_sdk_come_back_by_value(running: RunningClew) -> None:

    provider = LoggerProvider(resource=RESOURCE)
    provider.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter(f"{running.otlp_url}/v1/logs")))
    record = LogRecord(
        timestamp=1_790_000_000_000_000_123,
        severity_number=SeverityNumber.WARN,
        severity_text="WARN",
        body={"said": "nearly out of stock", "left": 2},
        attributes={"correlation.id": "foreign-1", "shelf": ["a", "b"]},
    )
    provider.get_logger("foreign.lib").emit(record)

    url = f"{running.dashboard_url}/requests/foreign-1?format=json"
    form = running.wait_for(lambda: httpx.get(url), lambda answer: answer.is_success).json()

    [stored] = form["logs"]
    assert stored["time_ns"] == 1_790_000_000_000_000_123
    assert (stored["severity_number"], stored["severity_text"], stored["service"]) == (13, "WARN", "foreign")
    assert stored["body"] == {"said": "nearly out of stock", "left": 2}
    assert stored["attributes"]["shelf"] == ["a", "b"]
