"""Real gRPC clients get the status and the details that OTLP gives each case, and what is good is taken."""

import gzip
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from clew_collector.errors import SpoolFull, StoreUnavailable
from clew_collector.receivers import otlp_grpc
from clew_collector.receivers.body import zstd
from tests.collector.otlp_builders import a_log, a_span, logs, traces
from tests.collector.receivers.otlp_intake import LIMIT, TIMEOUT_S, OtlpIntake, otlp_intake
from tests.waiting import wait_until

LOGS = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
TRACES = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
METRICS = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
HEALTH = "/grpc.health.v1.Health/Check"
GOOD = logs(*(a_log(f"fine {number}") for number in range(50))).SerializeToString()
RESOURCE = Resource.create({"service.name": "foreign"})


@pytest.fixture(scope="module")
def shared() -> Iterator[OtlpIntake]:
    with otlp_intake() as intake:
        yield intake


@pytest.fixture
def intake(shared: OtlpIntake) -> OtlpIntake:
    shared.error = None
    shared.payloads.clear()
    shared.counts.clear()
    return shared


@pytest.fixture
def channel(intake: OtlpIntake) -> Iterator[Any]:
    with grpc.insecure_channel(intake.grpc_address) as channel:
        yield channel


def send(intake: OtlpIntake, method: str, body: bytes, **options: Any) -> bytes:
    """One call over a connection of its own. Raises `grpc.RpcError`."""
    with grpc.insecure_channel(intake.grpc_address) as channel:
        answer: bytes = channel.unary_unary(method)(body, timeout=TIMEOUT_S, **options)
        return answer


def refusal(intake: OtlpIntake, method: str, body: bytes, **options: Any) -> Any:
    with pytest.raises(grpc.RpcError) as refused:
        send(intake, method, body, **options)
    return refused.value


def retry_delay_s(refused: Any) -> int | None:
    """What the `RetryInfo` in a refusal's details says; `None` without one."""
    for key, value in refused.trailing_metadata():
        if key == "grpc-status-details-bin":
            retry = RetryInfo()
            assert Status.FromString(value).details[0].Unpack(retry)
            return int(retry.retry_delay.seconds)
    return None


@pytest.mark.parametrize(("method", "body"), [(LOGS, GOOD), (TRACES, traces(a_span()).SerializeToString())])
def test_a_payload_is_taken_as_it_came_and_answered_empty(intake: OtlpIntake, method: str, body: bytes) -> None:
    assert send(intake, method, body) == b""
    assert [payload.body for payload in intake.payloads] == [body]


def test_an_empty_request_is_fine_and_nothing_is_kept(intake: OtlpIntake) -> None:
    assert send(intake, LOGS, b"") == b""
    assert (intake.payloads, intake.counts) == ([], {})


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate], ids=lambda each: each.name)
def test_a_compressed_message_is_taken_and_remembered_by_what_it_holds(
    intake: OtlpIntake, compression: grpc.Compression
) -> None:
    send(intake, LOGS, GOOD)
    send(intake, LOGS, GOOD, compression=compression)

    assert [payload.body for payload in intake.payloads] == [GOOD, GOOD]
    assert intake.payloads[0].digest == intake.payloads[1].digest


BAD: dict[str, tuple[str, bytes, str]] = {
    "garbage": (LOGS, b"\xff" * 40, "ExportLogsServiceRequest"),
    "truncated": (LOGS, GOOD[:-5], "ExportLogsServiceRequest"),
    "the other signal": (TRACES, b"\x0a\x03abc", "ExportTraceServiceRequest"),
    "invalid UTF-8": (LOGS, GOOD.replace(b"fine 7", b"\xff\xfe\xfd\xfc\xff\xff"), "UTF-8"),
    "half a gzip": (LOGS, gzip.compress(GOOD)[:-9], "breaks off"),
    "half a zlib stream": (LOGS, zlib.compress(GOOD)[:-9], "breaks off"),
    "half a zstd frame": (LOGS, zstd.compress(GOOD)[:-9], "breaks off"),
    "garbage metrics": (METRICS, b"\xff\xff", "metrics"),
}


@pytest.mark.parametrize(("method", "body", "reason"), BAD.values(), ids=BAD.keys())
def test_bad_bytes_are_an_invalid_argument_that_is_not_sent_again(
    intake: OtlpIntake, method: str, body: bytes, reason: str
) -> None:
    refused = refusal(intake, method, body)

    assert refused.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert reason in refused.details()
    assert retry_delay_s(refused) is None
    assert intake.payloads == []
    assert [(outcome, reason) for outcome, _, reason in intake.counts] == [("refused", "bad payload")]
    assert send(intake, LOGS, GOOD) == b""


@pytest.mark.parametrize(
    ("error", "code"),
    [(SpoolFull("full"), grpc.StatusCode.RESOURCE_EXHAUSTED), (StoreUnavailable("disk"), grpc.StatusCode.UNAVAILABLE)],
    ids=["full", "disk"],
)
def test_what_cannot_be_kept_now_is_refused_so_that_the_sender_tries_again(
    intake: OtlpIntake, error: SpoolFull | StoreUnavailable, code: grpc.StatusCode
) -> None:
    intake.error = error

    refused = refusal(intake, LOGS, GOOD)

    assert (refused.code(), refused.details()) == (code, str(error))
    assert retry_delay_s(refused) == 5
    assert [(outcome, signal) for outcome, signal, _ in intake.counts] == [("refused", "logs")]


def test_an_exporter_sends_again_what_could_not_be_kept(intake: OtlpIntake) -> None:
    intake.error = SpoolFull("full")
    exporter = OTLPSpanExporter(endpoint=intake.grpc_address, insecure=True, timeout=30)
    provider = TracerProvider(resource=RESOURCE)
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    with ThreadPoolExecutor(1) as sending:
        ended = sending.submit(provider.get_tracer("shop").start_span("GET /stock").end)
        wait_until(lambda: intake.counts[("refused", "traces", "spool full")] == 1)
        intake.error = None
        ended.result(TIMEOUT_S)

    assert [span.name for span in intake.spans] == ["GET /stock"]


def test_a_message_over_the_limit_is_refused_for_good_and_counted(intake: OtlpIntake) -> None:
    refused = refusal(intake, LOGS, bytes(LIMIT + 1))

    assert refused.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "larger than max" in refused.details()
    assert retry_delay_s(refused) is None
    wait_until(lambda: intake.counts == {("refused", "logs", "broken off or too large"): 1})
    assert send(intake, LOGS, GOOD) == b""


@pytest.mark.parametrize(
    ("body", "options"),
    [
        (bytes(50 * LIMIT), {"compression": grpc.Compression.Gzip}),
        (bytes(50 * LIMIT), {"compression": grpc.Compression.Deflate}),
        (zstd.compress(bytes(50 * LIMIT)), {}),
    ],
    ids=["gzip", "deflate", "zstd"],
)
def test_a_bomb_is_refused_at_the_limit(intake: OtlpIntake, body: bytes, options: dict[str, Any]) -> None:
    refused = refusal(intake, LOGS, body, **options)

    assert refused.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert f"more than {LIMIT} bytes" in refused.details()
    assert retry_delay_s(refused) is None
    assert intake.counts == {("refused", "logs", "too large"): 1}


def test_another_method_is_not_implemented(intake: OtlpIntake) -> None:
    refused = refusal(intake, "/opentelemetry.proto.collector.profiles.v1.ProfilesService/Export", b"")

    assert refused.code() == grpc.StatusCode.UNIMPLEMENTED
    assert "ProfilesService" in refused.details()
    assert intake.counts == {("refused", "other", "unsupported"): 1}


def test_metrics_are_answered_with_a_partial_success_that_says_so(intake: OtlpIntake) -> None:
    request = ExportMetricsServiceRequest()
    gauge = request.resource_metrics.add().scope_metrics.add().metrics.add(name="up").gauge
    gauge.data_points.add(as_int=1)
    gauge.data_points.add(as_int=2)

    answer = ExportMetricsServiceResponse.FromString(send(intake, METRICS, request.SerializeToString()))

    assert answer.partial_success.rejected_data_points == 2
    assert "not metrics" in answer.partial_success.error_message
    assert intake.counts == {("refused", "metrics", "not kept"): 2}


def test_a_message_that_does_not_come_is_given_up(
    intake: OtlpIntake, channel: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otlp_grpc, "_READ_TIMEOUT_S", 0.1)
    may_send = threading.Event()

    call = channel.stream_unary(LOGS).future(iter(lambda: may_send.wait(TIMEOUT_S), True), timeout=TIMEOUT_S)

    assert call.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert "after 0.1 s" in call.details()
    assert intake.counts == {("refused", "logs", "too slow"): 1}
    may_send.set()


def test_health_is_serving(intake: OtlpIntake) -> None:
    assert send(intake, HEALTH, b"") == b"\x08\x01"


def test_a_sender_that_leaves_before_its_message_is_counted(intake: OtlpIntake, channel: Any) -> None:
    may_send = threading.Event()
    call = channel.stream_unary(LOGS).future(iter(lambda: may_send.wait(TIMEOUT_S), True))
    channel.unary_unary(HEALTH)(b"", timeout=TIMEOUT_S)  # by now the other call has come as well

    call.cancel()

    wait_until(lambda: intake.counts == {("refused", "logs", "broken off or too large"): 1})
    assert send(intake, LOGS, GOOD) == b""
    may_send.set()


@pytest.mark.parametrize("compression", list(grpc.Compression), ids=lambda each: each.name)
def test_spans_and_logs_of_the_official_exporters_arrive(intake: OtlpIntake, compression: grpc.Compression) -> None:
    tracers = TracerProvider(resource=RESOURCE)
    spans = OTLPSpanExporter(endpoint=intake.grpc_address, insecure=True, compression=compression)
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    loggers = LoggerProvider(resource=RESOURCE)
    records = OTLPLogExporter(endpoint=intake.grpc_address, insecure=True, compression=compression)
    loggers.add_log_record_processor(SimpleLogRecordProcessor(records))

    tracers.get_tracer("shop").start_span("GET /stock").end()
    loggers.get_logger("shop").emit(LogRecord(body="nearly out", severity_number=SeverityNumber.WARN))
    tracers.shutdown()
    loggers.shutdown()

    assert [span.name for span in intake.spans] == ["GET /stock"]
    assert [log.body.string_value for log in intake.logs] == ["nearly out"]
    assert [dict(payload.services) for payload in intake.payloads] == [{"foreign": 1}] * 2


def test_the_official_metrics_exporter_is_answered(intake: OtlpIntake) -> None:
    exporter = OTLPMetricExporter(endpoint=intake.grpc_address, insecure=True)
    meters = MeterProvider([PeriodicExportingMetricReader(exporter)], resource=RESOURCE)
    meters.get_meter("shop").create_counter("orders").add(1)

    assert meters.force_flush()
    assert intake.counts == {("refused", "metrics", "not kept"): 1}
    meters.shutdown()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from([LOGS, TRACES, METRICS]),
    body=st.one_of(
        st.binary(max_size=200),
        st.binary(max_size=60).map(lambda tail: GOOD[:60] + tail),
        st.binary(max_size=60).map(gzip.compress),
        st.binary(max_size=60).map(lambda tail: gzip.compress(GOOD)[:30] + tail),
        st.binary(max_size=60).map(lambda tail: b"\x28\xb5\x2f\xfd" + tail),
    ),
)
def test_whatever_bytes_come_are_taken_or_an_invalid_argument(channel: Any, method: str, body: bytes) -> None:
    call = channel.unary_unary(method).future(body, timeout=TIMEOUT_S)

    assert call.code() in (grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT), call
