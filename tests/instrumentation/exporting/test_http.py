"""OTLP over HTTP with collectors, proxies and networks as they are."""

import email.utils
import http.client
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

import clew
from clew.clients.outgoing import is_suppressed
from clew.context import CURRENT
from clew.exporting import counters
from clew.runtime import RUNTIME
from tests.instrumentation.exporting.peers import HOST, Answer, closed_port, http_peer, make_certificate
from tests.instrumentation.fake_collector import FakeCollector, Reply


def make_spans(*names: str, **attributes: Any) -> None:
    for name in names:
        span = clew.get_tracer("test").start_span(name)
        span.set_attributes(attributes)
        span.end()


def span_count(body: bytes) -> int:
    request = ExportTraceServiceRequest.FromString(body)
    return sum(len(scope.spans) for resource in request.resource_spans for scope in resource.scope_spans)


def own_lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "clew"]


def test_records_that_the_collector_did_not_keep_are_counted_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "clew")
    response = ExportTraceServiceResponse()
    response.partial_success.rejected_spans = 1
    response.partial_success.error_message = "too\nold"

    with http_peer(lambda path, _body: Answer(body=response.SerializeToString() if "traces" in path else b"")) as peer:
        clew.configure("orders", endpoint=peer.url)
        for _ in range(3):
            make_spans("a", "b")
            assert clew.flush()

    assert counters()["spans"].sent == 3
    assert counters()["spans"].dropped == {"rejected": 3}
    assert len(own_lines(caplog)) == 1
    assert "too old" in own_lines(caplog)[0]


def test_a_remark_of_the_collector_drops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    response = ExportLogsServiceResponse()
    response.partial_success.error_message = "use gRPC"

    with http_peer(lambda _path, _body: Answer(body=response.SerializeToString())) as peer:
        clew.configure("orders", endpoint=peer.url)
        logging.getLogger("shop").warning("hello")
        assert clew.flush()

    assert counters()["logs"].sent == 1
    assert counters()["logs"].dropped == {}
    assert "use gRPC" in own_lines(caplog)[0]


@pytest.mark.parametrize("body", [b"\xff\xff\xff", b"\x0a\x7f", b"<html>", b"x" * 200_000])
def test_an_answer_that_is_no_otlp_is_taken_as_yes(body: bytes) -> None:
    with http_peer(lambda _path, _body: Answer(body=body)) as peer:
        clew.configure("orders", endpoint=peer.url)
        for name in ("a", "b"):
            make_spans(name)
            assert clew.flush()

    assert counters()["spans"].sent == 2


def test_a_batch_that_is_too_large_is_split() -> None:
    with http_peer(lambda _path, body: Answer(413 if span_count(body) > 40 else 200)) as peer:
        clew.configure("orders", endpoint=peer.url)
        names = [f"span {number}" for number in range(500)]
        make_spans(*names)

        assert clew.flush()

        assert sorted(span.name for span in peer.spans) == sorted(names)
        resources = [request.resource_spans[0].resource for request in peer.trace_requests]
        assert all(resource == resources[0] and resource.attributes for resource in resources)
        scopes = [request.resource_spans[0].scope_spans[0].scope.name for request in peer.trace_requests]
        assert set(scopes) == {"test"}
    assert counters()["spans"].dropped == {}


def test_a_record_that_is_too_large_by_itself_is_dropped_and_the_others_go_on() -> None:
    with http_peer(lambda _path, body: Answer(413 if b"huge" in body else 200)) as peer:
        clew.configure("orders", endpoint=peer.url)
        make_spans("a", "huge", "b", "c")

        assert clew.flush()

        assert sorted(span.name for span in peer.spans) == ["a", "b", "c"]
    assert counters()["spans"].dropped == {"too_large": 1}


def test_bodies_stay_under_four_mebibytes(exported: FakeCollector) -> None:
    for number in range(100):
        make_spans(f"span {number}", text="x" * 60_000, more="y" * 60_000)

    assert clew.flush(10)

    assert len(exported.spans) == 100
    assert max(len(body) for _, _, body in exported.requests) < 4 << 20


def test_a_huge_record_is_sent_by_itself(exported: FakeCollector) -> None:
    clew.configure("orders", endpoint=exported.url, log_format="json", max_attributes=1_000)
    make_spans("before")
    make_spans("huge", **{f"text {number}": "x" * 70_000 for number in range(150)})
    make_spans("after")

    assert clew.flush(10)

    assert sorted(span.name for span in exported.spans) == ["after", "before", "huge"]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed(collector: FakeCollector, status: int) -> None:
    redirect = Answer(status, headers={"Location": f"{collector.url}/v1/traces"})
    with http_peer(lambda _path, _body: redirect) as peer:
        clew.configure("orders", endpoint=peer.url, headers={"x-api-key": "secret"})
        make_spans("a")
        clew.flush()

    assert collector.connections == 0
    assert counters()["spans"].dropped == {"rejected": 1}


@pytest.mark.parametrize(
    ("asked", "least_s", "most_s"),
    [
        (lambda: "99999", 50, 60),
        (lambda: email.utils.formatdate(time.time() + 7 * 86_400, usegmt=True), 50, 60),
        (lambda: email.utils.formatdate(time.time() + 30, usegmt=True), 20, 30),
        (lambda: email.utils.formatdate(0, usegmt=True), 0, 0),
        (lambda: "9" * 400, 50, 60),
        (lambda: "soon", 0, 0.5),
        (lambda: "Fri, 31 Dec 99999 23:59:59 GMT", 0, 0.5),
    ],
    ids=["seconds", "next week", "in half a minute", "long ago", "a large number", "words", "no date"],
)
def test_retry_after_is_capped_whatever_the_clocks_say(
    exported: FakeCollector, asked: Callable[[], str], least_s: float, most_s: float
) -> None:
    exported.replies = [Reply(503, (("Retry-After", asked()),))]
    exporter = RUNTIME.exporter
    assert exporter is not None

    make_spans("a")
    before_s = time.monotonic()
    clew.flush()

    if exporter.spans.is_failing:
        assert least_s <= exporter.spans.retry_at_s - before_s <= most_s + 2
    else:
        assert most_s <= 0.5


def test_an_outage_of_both_signals_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "clew")
    clew.configure("orders", endpoint=f"http://user:secret@127.0.0.1:{closed_port()}")

    for _ in range(3):
        make_spans("a")
        logging.getLogger("shop").warning("hello")
        clew.flush()

    assert len(own_lines(caplog)) == 1
    assert "secret" not in own_lines(caplog)[0]


def test_a_collector_that_rejects_everything_is_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with http_peer(lambda path, _body: Answer(400 if "traces" in path else 200)) as peer:
        clew.configure("orders", endpoint=peer.url)
        for _ in range(3):
            make_spans("a")
            clew.flush()

    assert len(own_lines(caplog)) == 1
    assert "HTTP 400" in own_lines(caplog)[0]


def test_nothing_is_compressed_if_that_is_not_wanted(collector: FakeCollector) -> None:
    clew.configure("orders", endpoint=collector.url, compression="none")

    make_spans(*["a"] * 100)
    assert clew.flush()

    assert len(collector.spans) == 100
    assert "Content-Encoding" not in collector.requests[0][1]


def test_each_signal_may_go_to_an_address_of_its_own(collector: FakeCollector) -> None:
    with http_peer() as peer:
        clew.configure(
            "orders",
            endpoint=f"http://127.0.0.1:{closed_port()}",
            traces_endpoint=f"{collector.url}/otlp/spans?tenant=1",
            logs_endpoint=f"{peer.url}/otlp/lines",
        )
        make_spans("a")
        logging.getLogger("shop").warning("hello")
        assert clew.flush()

        assert [path for path, _, _ in collector.requests] == ["/otlp/spans?tenant=1"]
        assert [path for path, _, _ in peer.requests] == ["/otlp/lines"]


def test_each_signal_may_have_headers_of_its_own(collector: FakeCollector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=general")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "x-key=spans")
    clew.configure("orders", endpoint=collector.url)

    make_spans("a")
    logging.getLogger("shop").warning("hello")
    assert clew.flush()

    sent = {path: {name.lower(): value for name, value in headers.items()} for path, headers, _ in collector.requests}
    assert (sent["/v1/traces"]["x-key"], sent["/v1/logs"]["x-key"]) == ("spans", "general")


@pytest.mark.parametrize(("traces", "logs"), [(True, False), (False, True), (False, False)])
def test_a_signal_that_is_off_is_neither_sent_nor_queued(collector: FakeCollector, traces: bool, logs: bool) -> None:
    clew.configure("orders", endpoint=collector.url, export_traces=traces, export_logs=logs)

    make_spans("a")
    logging.getLogger("shop").warning("hello")
    assert clew.flush()

    assert len(collector.spans) == traces
    assert len(collector.logs) == logs
    assert {name: counts.waiting for name, counts in counters().items()} == {"spans": 0, "logs": 0}


def test_credentials_in_the_address_are_sent_as_a_header(collector: FakeCollector) -> None:
    clew.configure("orders", endpoint=collector.url.replace("//", "//me:p%40ss@"))

    make_spans("a")
    assert clew.flush()

    assert collector.requests[0][1]["Authorization"] == "Basic bWU6cEBzcw=="


def test_https_with_its_own_certificate(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)

    with http_peer(tls=(certificate, key)) as peer:
        clew.configure("orders", endpoint=peer.url, certificate=certificate)
        make_spans("a")
        assert clew.flush(5)

        assert [span.name for span in peer.spans] == ["a"]


def test_https_with_a_certificate_that_nobody_knows_sends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with http_peer(tls=make_certificate(tmp_path)) as peer:
        clew.configure("orders", endpoint=peer.url)
        make_spans("a")
        assert not clew.flush(5)

        assert peer.requests == []
    assert "CERTIFICATE_VERIFY_FAILED" in own_lines(caplog)[0]


@pytest.mark.parametrize("content", [None, "", "no certificate"])
def test_a_certificate_that_cannot_be_read_is_said_by_configure(
    tmp_path: Path, collector: FakeCollector, content: str | None
) -> None:
    clew.configure("orders", endpoint=collector.url)
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)

    with pytest.raises(ValueError, match=r"clew\.configure: certificate must be a file with certificates in PEM"):
        clew.configure("orders", endpoint="https://127.0.0.1:1", certificate=str(path))

    make_spans("goes on as before")
    assert clew.flush()
    assert len(collector.spans) == 1


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "ALL_PROXY"])
def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    with http_peer() as proxy:
        monkeypatch.setenv(variable, proxy.url.replace("//", "//me:secret@"))
        clew.configure("orders", endpoint=f"http://{HOST}:4318/base")
        make_spans("a")
        assert clew.flush(5)

        assert proxy.asked == [f"http://{HOST}:4318/base/v1/traces"]
        assert proxy.requests[0][1]["Host"] == f"{HOST}:4318"
        assert proxy.requests[0][1]["Proxy-Authorization"] == "Basic bWU6c2VjcmV0"


def test_https_goes_through_a_tunnel_of_the_proxy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)

    with http_peer() as proxy, http_peer(tls=(certificate, key)) as peer:
        proxy.tunnels_to = ("127.0.0.1", int(peer.url.rpartition(":")[2]))
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        clew.configure("orders", endpoint=f"https://{HOST}:4318", certificate=certificate)
        make_spans("a")
        assert clew.flush(5)

        assert [span.name for span in peer.spans] == ["a"]
        assert proxy.asked == [f"CONNECT {HOST}:4318"]
        assert proxy.requests == []


@pytest.mark.parametrize("no_proxy", [None, "127.0.0.1", "*"])
def test_a_collector_on_this_machine_is_asked_without_a_proxy(
    monkeypatch: pytest.MonkeyPatch, collector: FakeCollector, no_proxy: str | None
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{closed_port()}")
    if no_proxy is not None:
        monkeypatch.setenv("no_proxy", no_proxy)
    clew.configure("orders", endpoint=collector.url)

    make_spans("a")

    assert clew.flush()
    assert len(collector.spans) == 1


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "http://127.0.0.1:port", "http://"])
def test_what_is_no_http_proxy_is_ignored(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    from urllib.parse import urlsplit

    from clew.exporting.proxies import proxy_for

    monkeypatch.setenv("http_proxy", proxy)

    assert proxy_for(urlsplit(f"http://{HOST}:4318")) is None


def test_no_proxy_names_hosts_that_are_asked_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    from urllib.parse import urlsplit

    from clew.exporting.proxies import proxy_for

    monkeypatch.setenv("http_proxy", "proxy.example:8080")
    monkeypatch.setenv("no_proxy", f"other.example,{HOST}")

    assert proxy_for(urlsplit(f"http://{HOST}:4318")) is None
    proxy = proxy_for(urlsplit("http://third.example:4318"))
    assert proxy is not None
    assert (proxy.hostname, proxy.port) == ("proxy.example", 8080)


def test_the_exporters_own_calls_are_not_for_tracing(exported: FakeCollector, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    request = http.client.HTTPConnection.request

    def watched(self: Any, *args: Any, **kwargs: Any) -> None:
        seen.append(is_suppressed(CURRENT.get()))
        request(self, *args, **kwargs)

    monkeypatch.setattr(http.client.HTTPConnection, "request", watched)
    with clew.get_tracer("test").start_as_current_span("work"):
        clew.configure("orders", endpoint=exported.url, batch_delay_s=0.5)
    assert clew.flush()

    assert seen
    assert all(seen)
