"""OTLP onward: into a `clew up` of our own, over both protocols, and into servers that misbehave."""

import gzip
import random
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from clew_collector.errors import ConfigError
from clew_collector.sinks.base import SinkRejected, SinkUnavailable
from clew_collector.sinks.otlp import OtlpSink, OtlpSinkConfig
from clew_collector.wire.otlp.from_json import parse_json
from tests.collector.certificates import Authority
from tests.collector.otlp_builders import T0_NS, a_log, a_span, attributes, logs, traces
from tests.collector.processors.applying import configured
from tests.collector.sinks.outgoing import outgoing, outgoing_bodies
from tests.collector.sinks.scripted_server import Answer, Received, ScriptedServer, scripted_server
from tests.server.running_clew import RunningClew, clew_up

DATA = Path(__file__).parents[2] / "data"
PROTOCOLS = ("http", "grpc")


def sink_to(url: str, **settings: Any) -> OtlpSink:
    return OtlpSink(OtlpSinkConfig(url=url, **settings))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningClew]:
    with clew_up(tmp_path_factory.mktemp("otlp-sink")) as running:
        yield running


@contextmanager
def sink_into(running: RunningClew, protocol: str, **settings: Any) -> Iterator[OtlpSink]:
    url = running.otlp_url if protocol == "http" else f"http://{running.urls['grpc']}"
    sink = sink_to(url, protocol=protocol, **settings)
    yield sink
    sink.close()


def request_of(running: RunningClew, id: str, *, spans: int, logs: int = 0) -> dict[str, Any]:
    url = f"{running.dashboard_url}/requests/{id}?format=json"

    def is_whole(answer: httpx.Response) -> bool:
        return answer.is_success and (len(answer.json()["spans"]), len(answer.json()["logs"])) == (spans, logs)

    form: dict[str, Any] = running.wait_for(lambda: httpx.get(url), is_whole).json()
    return form


def nezha_spans() -> list[bytes]:
    lines = gzip.decompress((DATA / "nezha" / "traces.otlp.jsonl.gz").read_bytes()).splitlines()
    return [parse_json("traces", line).SerializeToString() for line in lines]


def spans_in(bodies: list[bytes]) -> list[Span]:
    requests = map(ExportTraceServiceRequest.FromString, bodies)
    return [
        span
        for each in requests
        for group in each.resource_spans
        for scope in group.scope_spans
        for span in scope.spans
    ]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_another_clew_has_all_and_keeps_it_once(running: RunningClew, protocol: str) -> None:
    trace = f"{random.getrandbits(127):032x}"
    requests = [traces(a_span(trace=trace, span=f"{number + 1:016x}")) for number in range(40)]
    lines = [logs(a_log(f"line {number}", trace=trace)) for number in range(10)]

    with sink_into(running, protocol) as sink:
        for _ in range(2):
            assert sink.write(outgoing(*requests)) == []
            assert sink.write(outgoing(*lines)) == []

    form = request_of(running, trace, spans=40, logs=10)
    assert {span["service"] for span in form["spans"]} == {"inventory"}


def test_real_spans_are_passed_on_as_they_came(running: RunningClew) -> None:
    bodies = nezha_spans()
    ids = {span.trace_id.hex() for span in spans_in(bodies)}
    trace = min(ids)

    with sink_into(running, "grpc") as sink:
        assert sink.write(outgoing_bodies("traces", bodies)) == []

    form = request_of(running, trace, spans=sum(span.trace_id.hex() == trace for span in spans_in(bodies)))
    assert form["spans"]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as server:
        yield server


def test_what_nothing_changed_goes_out_byte_by_byte_a_payload_a_request(server: ScriptedServer) -> None:
    bodies = nezha_spans()
    sink_to(server.url + "/otlp/", headers={"X-Key": "k"}).write(outgoing_bodies("traces", bodies))

    assert sorted(received.body for received in server.received) == sorted(bodies)
    assert {received.path for received in server.received} == {"/otlp/v1/traces"}
    assert {received.headers["X-Key"] for received in server.received} == {"k"}
    assert {received.headers["content-type"] for received in server.received} == {"application/x-protobuf"}


def everything() -> ExportTraceServiceRequest:
    """Spans with whatever the stores' columns hold."""
    values: Any = {"text": "é", "int": -7, "yes": True, "half": 0.5, "raw": b"\x00", "none": None}
    values |= {"list": ["a", 1, [True]], "map": {"k": {"deep": [1.5]}}}
    span = a_span(
        "GET",
        error="no",
        correlation_id="c-1",
        more=values,
        events=[Span.Event(time_unix_nano=T0_NS, name="e", attributes=attributes(values))],
        links=[Span.Link(trace_id=b"t" * 16, span_id=b"s" * 8, attributes=attributes(values))],
        trace_state="a=b",
        flags=1,
    )
    request = traces(span, Span(trace_id=b"t" * 16, span_id=b"s" * 8, name="never ended", start_time_unix_nano=T0_NS))
    request.resource_spans.extend(traces(a_span("other"), service="other", scope="").resource_spans)
    request.resource_spans.extend(traces(a_span("again"), service="inventory").resource_spans)
    return request


def dropping(**when: Any) -> Any:
    return configured({"type": "drop", "when": when})


def test_spans_are_the_same_when_encoded_anew(server: ScriptedServer) -> None:
    batch = outgoing(everything(), processors=dropping(name="not there"))
    assert not batch.is_as_received

    sink_to(server.url).write(batch)

    [received] = server.received
    found = ExportTraceServiceRequest.FromString(received.body)
    assert list(map(with_status, spans_in([received.body]))) == list(
        map(with_status, spans_in([everything().SerializeToString()]))
    )
    assert [group.resource for group in found.resource_spans] == [each.resource for each in everything().resource_spans]


def with_status(span: Span) -> Span:
    """A span whose status, if it is unset, is written down as such: the stores do not tell one from the other."""
    copied = Span()
    copied.CopyFrom(span)
    copied.status.SetInParent()
    return copied


def test_logs_are_the_same_when_encoded_anew(server: ScriptedServer) -> None:
    deep: Any = {"a": [1, {"b": b"x"}], "": None}
    request = logs(
        a_log("text", more={"k": deep}), a_log(deep), a_log([deep]), a_log(None), a_log(7), a_log(severity=17)
    )
    request.resource_logs[0].scope_logs[0].log_records[0].event_name = "e"

    sink_to(server.url).write(outgoing(request, processors=dropping(signal="logs", body_matches="^not there$")))

    [received] = server.received
    assert received.path == "/v1/logs"
    assert ExportLogsServiceRequest.FromString(received.body) == request


def test_what_processors_drop_is_not_sent_and_a_payload_of_nothing_else_neither(server: ScriptedServer) -> None:
    batch = outgoing(traces(a_span("stay"), a_span("drop")), traces(a_span("drop")), processors=dropping(name="drop"))

    assert sink_to(server.url).write(batch) == []
    assert [span.name for span in spans_in([received.body for received in server.received])] == ["stay"]


def test_what_was_acknowledged_is_not_sent_again_with_what_was_not(server: ScriptedServer) -> None:
    requests = [traces(a_span(f"s{number}")) for number in range(20)]
    bodies = [request.SerializeToString() for request in requests]
    sink = sink_to(server.url)
    server.answer = lambda received: Answer(503 if received.body == bodies[12] else 200)
    with pytest.raises(SinkUnavailable):
        sink.write(outgoing(*requests))
    acknowledged = [received.body for received in server.received if received.body != bodies[12]]
    server.received.clear()

    server.always(Answer(200))
    sink.write(outgoing(*requests[:16]))
    sink.write(outgoing(*requests[16:], first_id=17))

    assert bodies[12] in [received.body for received in server.received]
    assert sorted(acknowledged + [received.body for received in server.received]) == sorted(bodies)


def test_one_bad_record_is_found_and_the_others_arrive(server: ScriptedServer) -> None:
    def names(received: Received) -> list[str]:
        return [span.name for span in spans_in([received.body])]

    server.answer = lambda received: Answer(400, body=b"no") if "s7" in names(received) else Answer(200)
    first = traces(*(a_span(f"a{number}") for number in range(10)))
    second = traces(*(a_span(f"s{number}") for number in range(10)), a_span("drop"))

    [refused] = sink_to(server.url).write(outgoing(first, second, processors=dropping(name="a3")))

    assert (refused.payload_id, refused.position) == (2, 7)
    assert refused.reason == "400 Bad Request: no"
    taken = [name for received in server.received if "s7" not in names(received) for name in names(received)]
    assert len(taken) == len(set(taken)) == 19


def test_a_server_that_takes_smaller_bodies_only_gets_smaller_ones(server: ScriptedServer) -> None:
    server.answer = lambda received: Answer(413 if len(received.body) > 1_000 else 200)

    assert sink_to(server.url).write(outgoing(traces(*(a_span(f"s{n}") for n in range(100))))) == []
    taken = [received.body for received in server.received if len(received.body) <= 1_000]
    assert sorted(span.name for span in spans_in(taken)) == sorted(f"s{n}" for n in range(100))


def test_a_server_that_takes_nothing_rejects_the_payload(server: ScriptedServer) -> None:
    server.always(Answer(400, body=b"not here"))

    with pytest.raises(SinkRejected, match="not here"):
        sink_to(server.url).write(outgoing(traces(*(a_span() for _ in range(2_000)))))


def partly(rejected: int) -> bytes:
    response = ExportTraceServiceResponse()
    response.partial_success.rejected_spans = rejected
    response.partial_success.error_message = "too\nold"
    return response.SerializeToString()


def test_what_the_other_side_leaves_out_is_counted_and_not_sent_again(
    server: ScriptedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    sink = sink_to(server.url)
    server.always(Answer(200, body=partly(3)))

    assert sink.write(outgoing(traces(*(a_span() for _ in range(5))))) == []

    assert len(server.received) == 1
    assert sink.take_dropped("traces") == {"partial success": 3}
    assert sink.take_dropped("traces") == {}
    assert "too old" in capsys.readouterr().out


def test_a_warning_without_records_is_not_counted(server: ScriptedServer) -> None:
    sink = sink_to(server.url)
    server.always(Answer(200, body=partly(0)))
    sink.write(outgoing(traces(a_span())))

    assert sink.take_dropped("traces") == {}


@pytest.mark.parametrize(
    ("answer", "reason", "retry_after_s"),
    [
        (Answer(429, {"retry-after": "7"}), "429", 7.0),
        (Answer(503, {"retry-after": "1"}, b"full"), "503 Service Unavailable: full", 1.0),
        (Answer(404), "404", None),
        (Answer(200, body=b"<html>log in</html>"), "not OTLP's", None),
        (Answer(is_late=True), "no answer in time", None),
    ],
    ids=["full", "away", "elsewhere", "another's answer", "too late"],
)
def test_over_http_what_may_pass_is_tried_again(
    server: ScriptedServer, answer: Answer, reason: str, retry_after_s: float | None
) -> None:
    server.always(answer)

    with pytest.raises(SinkUnavailable) as caught:
        sink_to(server.url, timeout_s=0.5).write(outgoing(traces(a_span())))

    assert reason in str(caught.value)
    assert caught.value.retry_after_s == retry_after_s


Behaviour = Callable[[bytes, Any], bytes]


class GrpcServer:
    """A real gRPC server that does as it is told."""

    def __init__(self) -> None:
        self.behave: Behaviour = lambda body, context: b""
        self.received: list[bytes] = []
        self.headers: dict[str, Any] = {}

    def service(self, call: Any) -> Any:
        def handle(body: bytes, context: Any) -> bytes:
            self.received.append(body)
            self.headers = dict(context.invocation_metadata())
            return self.behave(body, context)

        return grpc.unary_unary_rpc_method_handler(handle) if "TraceService/Export" in call.method else None


@contextmanager
def grpc_server(credentials: Any = None, **options: int) -> Iterator[tuple[GrpcServer, str]]:
    scripted = GrpcServer()
    server = grpc.server(futures.ThreadPoolExecutor(4), options=[(f"grpc.{k}", v) for k, v in options.items()])
    server.add_generic_rpc_handlers((scripted,))
    port = (
        server.add_insecure_port("127.0.0.1:0")
        if credentials is None
        else server.add_secure_port("127.0.0.1:0", credentials)
    )
    server.start()
    yield scripted, f"{'https' if credentials else 'http'}://127.0.0.1:{port}"
    server.stop(0).wait()


def failing(code: Any, details: str, retry_info: Message | None = None) -> Behaviour:
    def behave(_: bytes, context: Any) -> bytes:
        if retry_info is not None:
            packed = AnyMessage()
            packed.Pack(retry_info)
            status = Status(code=code.value[0], message=details, details=[packed])
            context.set_trailing_metadata([("grpc-status-details-bin", status.SerializeToString())])
        context.abort(code, details)
        raise AssertionError("unreachable")

    return behave


def too_late(_: bytes, context: Any) -> bytes:
    while context.is_active():
        time.sleep(0.02)
    return b""


@pytest.mark.parametrize(
    ("behave", "reason", "retry_after_s"),
    [
        (failing(grpc.StatusCode.UNAVAILABLE, "go\naway"), "UNAVAILABLE: go away", None),
        (
            failing(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", RetryInfo(retry_delay=Duration(seconds=3))),
            "RESOURCE_EXHAUSTED: full",
            3.0,
        ),
        (failing(grpc.StatusCode.RESOURCE_EXHAUSTED, "quota"), "quota", None),
        (failing(grpc.StatusCode.UNAUTHENTICATED, "who"), "UNAUTHENTICATED: who", None),
        (too_late, "DEADLINE_EXCEEDED", None),
        (lambda body, context: b"\xff\xff", "not OTLP's", None),
    ],
    ids=["away", "full", "quota", "credentials", "too late", "another's answer"],
)
def test_over_grpc_what_may_pass_is_tried_again(behave: Behaviour, reason: str, retry_after_s: float | None) -> None:
    with grpc_server() as (server, url):
        server.behave = behave
        with pytest.raises(SinkUnavailable) as caught:
            sink_to(url, protocol="grpc", timeout_s=0.5).write(outgoing(traces(a_span())))

    assert reason in str(caught.value)
    assert caught.value.retry_after_s == retry_after_s


def test_over_grpc_headers_go_along_and_refused_records_are_found() -> None:
    with grpc_server() as (server, url):
        refuse = failing(grpc.StatusCode.INVALID_ARGUMENT, "no")
        server.behave = lambda body, context: refuse(body, context) if b"bad one" in body else b""
        sink = sink_to(url, protocol="grpc", headers={"X-Key": "k"})

        [refused] = sink.write(outgoing(traces(a_span(), a_span("bad one"), a_span())))

        assert server.headers["x-key"] == "k"
    assert (refused.position, refused.reason) == (1, "INVALID_ARGUMENT: no")


def test_over_grpc_a_message_over_the_servers_limit_is_sent_in_parts() -> None:
    with grpc_server(max_receive_message_length=10_000) as (server, url):
        request = traces(*(a_span(f"s{n}", more={"x": f"{random.getrandbits(800):x}"}) for n in range(200)))

        assert sink_to(url, protocol="grpc").write(outgoing(request)) == []

        assert sorted(span.name for span in spans_in(server.received)) == sorted(f"s{n}" for n in range(200))


def test_over_grpc_both_sides_may_show_certificates(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    theirs, ours = authority.sign(), authority.sign("clew")
    pair = (theirs.key.read_bytes(), theirs.certificate.read_bytes())
    credentials = grpc.ssl_server_credentials([pair], authority.certificate.read_bytes(), require_client_auth=True)
    trusted: Any = {"ca": authority.certificate}

    with grpc_server(credentials) as (server, url):
        shown = trusted | {"certificate": ours.certificate, "key": ours.key}
        assert sink_to(url, protocol="grpc", tls=shown).write(outgoing(traces(a_span()))) == []
        untold: Any = {}
        for tls in (trusted, untold):
            with pytest.raises(SinkUnavailable):
                sink_to(url, protocol="grpc", tls=tls, timeout_s=2).write(outgoing(traces(a_span())))
        assert len(server.received) == 1
    with pytest.raises(ConfigError, match=r"tls\.ca"):
        sink_to(url, protocol="grpc", tls={"ca": tmp_path / "missing"})


def test_a_signal_that_is_not_asked_for_is_left_alone(server: ScriptedServer) -> None:
    sink = sink_to(server.url, signals=["logs"])

    assert sink.write(outgoing(traces(a_span()))) == []
    assert server.received == []
