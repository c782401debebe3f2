"""What holds for every HTTP client library, as a server and a collector see it."""

import asyncio
import http.client
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp
import httpx
import pytest
import requests
import urllib3
import wrapt
from opentelemetry import context
from opentelemetry.context import _SUPPRESS_HTTP_INSTRUMENTATION_KEY
from opentelemetry.proto.trace.v1.trace_pb2 import Status

import clew
from tests.instrumentation.clients.asking import a_request, client_spans, the_span
from tests.instrumentation.clients.peer import Peer
from tests.instrumentation.fake_collector import FakeCollector, attributes_of

Headers = Mapping[str, str] | None


def by_httpx(url: str, headers: Headers = None, *, method: str = "GET", proxy: str | None = None) -> int:
    with httpx.Client(trust_env=False, proxy=proxy, follow_redirects=True) as client:
        return client.request(method, url, headers=headers).status_code


def by_async_httpx(url: str, headers: Headers = None, *, method: str = "GET", proxy: str | None = None) -> int:
    async def call() -> int:
        async with httpx.AsyncClient(trust_env=False, proxy=proxy, follow_redirects=True) as client:
            return (await client.request(method, url, headers=headers)).status_code

    return asyncio.run(call())


def by_requests(url: str, headers: Headers = None, *, method: str = "GET", proxy: str | None = None) -> int:
    with requests.Session() as session:
        session.trust_env = False
        session.proxies = {"http": proxy, "https": proxy} if proxy else {}
        return session.request(method, url, headers=headers).status_code


def by_urllib3(url: str, headers: Headers = None, *, method: str = "GET", proxy: str | None = None) -> int:
    pools = urllib3.ProxyManager(proxy) if proxy else urllib3.PoolManager()
    with pools:
        return pools.request(method, url, headers=headers, retries=urllib3.Retry(3, connect=False, other=0)).status


def by_urllib(url: str, headers: Headers = None, *, method: str = "GET", proxy: str | None = None) -> int:
    proxies = {"http": proxy, "https": proxy} if proxy else {}
    request = urllib.request.Request(url, headers=dict(headers or {}), method=method)
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler(proxies)).open(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def by_aiohttp(url: str, headers: Headers = None, *, method: str = "GET", proxy: str | None = None) -> int:
    async def call() -> int:
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, url, headers=headers, proxy=proxy) as answer,
        ):
            return answer.status

    return asyncio.run(call())


Call = Callable[..., int]

CALLS: dict[Call, str] = {
    by_httpx: "httpx",
    by_async_httpx: "httpx",
    by_requests: "requests",
    by_urllib3: "urllib3",
    by_urllib: "urllib",
    by_aiohttp: "aiohttp_client",
}
"""Each with the name of OpenTelemetry's own instrumentation for it."""

WRAPPED: dict[Call, tuple[type, str]] = {
    by_httpx: (httpx.HTTPTransport, "handle_request"),
    by_requests: (requests.Session, "send"),
    by_urllib3: (urllib3.HTTPConnectionPool, "urlopen"),
    by_urllib: (urllib.request.OpenerDirector, "open"),
}
"""What OpenTelemetry's instrumentation puts its span around."""

every_client = pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)


@every_client
class TestCall:
    def test_it_carries_the_ids_on(self, exported: FakeCollector, peer: Peer, call: Call) -> None:
        with a_request("r, 1"):
            assert call(peer.url + "/200") == 200

        span, attributes = the_span(exported)
        (received,) = peer.received
        assert received["traceparent"] == f"00-{span.trace_id.hex()}-{span.span_id.hex()}-03"
        assert received["x-request-id"] == "r, 1"
        assert received["baggage"] == "correlation.id=r%2C%201"
        assert attributes["correlation.id"] == "r, 1"
        assert span.parent_span_id == next(span for span in exported.spans if span.name == "handler").span_id

    def test_its_span_follows_the_http_conventions(self, exported: FakeCollector, peer: Peer, call: Call) -> None:
        call(f"{peer.url}/200?a=1&sig=secret&b=2")

        span, attributes = the_span(exported)
        attributes.pop("correlation.id")
        assert span.name == "GET"
        assert span.status.code == Status.STATUS_CODE_UNSET
        assert attributes == {
            "http.request.method": "GET",
            "url.full": f"{peer.url}/200?a=1&sig=REDACTED&b=2",
            "server.address": "127.0.0.1",
            "server.port": peer.port,
            "http.response.status_code": 200,
            "network.protocol.version": "1.1",
        }

    def test_the_headers_of_the_service_go_with_it(self, exported: FakeCollector, peer: Peer, call: Call) -> None:
        call(peer.url + "/200", {"X-Tenant": "north", "Accept": "text/plain"})

        (received,) = peer.received
        assert (received["x-tenant"], received["accept"]) == ("north", "text/plain")
        assert received.all("traceparent")

    @pytest.mark.parametrize("status", [404, 503])
    def test_an_error_response_is_an_error(self, exported: FakeCollector, peer: Peer, call: Call, status: int) -> None:
        assert call(f"{peer.url}/{status}") == status

        spans = client_spans(exported)
        assert {span.status.code for span in spans} == {Status.STATUS_CODE_ERROR}
        assert {attributes_of(span.attributes)["error.type"] for span in spans} == {str(status)}

    def test_a_failed_connection_is_recorded_and_raised(self, exported: FakeCollector, call: Call) -> None:
        with pytest.raises((OSError, httpx.ConnectError, urllib3.exceptions.HTTPError)):
            call("http://127.0.0.1:9/200")

        span, attributes = the_span(exported)
        (event,) = span.events
        assert span.status.code == Status.STATUS_CODE_ERROR
        assert attributes["error.type"] == attributes_of(event.attributes)["exception.type"]
        assert (attributes["server.address"], attributes["server.port"]) == ("127.0.0.1", 9)
        assert "http.response.status_code" not in attributes

    def test_an_unknown_method_is_other(self, exported: FakeCollector, peer: Peer, call: Call) -> None:
        call(peer.url + "/200", method="PURGE")

        span, attributes = the_span(exported)
        assert span.name == "HTTP"
        assert attributes["http.request.method"] == "_OTHER"
        assert attributes["http.request.method_original"] == "PURGE"

    def test_each_redirect_is_a_call_that_knows_its_turn(self, exported: FakeCollector, peer: Peer, call: Call) -> None:
        with a_request():
            assert call(peer.url + "/302") == 200

        first, second = (attributes_of(span.attributes) for span in client_spans(exported))
        assert (first["http.response.status_code"], second["http.response.status_code"]) == (302, 200)
        assert "http.request.resend_count" not in first
        assert second["http.request.resend_count"] == 1
        assert [received.span_id for received in peer.received] == [s.span_id.hex() for s in client_spans(exported)]
        assert [received["x-request-id"] for received in peer.received] == ["r-1", "r-1"]

    def test_a_callers_trace_headers_that_are_passed_on_are_replaced(
        self, exported: FakeCollector, peer: Peer, call: Call
    ) -> None:
        stale = {"Traceparent": f"00-{'1' * 32}-{'2' * 16}-01", "tracestate": "a=1", "X-Request-ID": "chosen"}

        with a_request("r-1"):
            call(peer.url + "/200", stale)

        span, _ = the_span(exported)
        (received,) = peer.received
        assert received["traceparent"].split("-")[1] == span.trace_id.hex()
        assert "tracestate" not in received
        assert received["x-request-id"] == "chosen"

    def test_suppressed_calls_are_left_alone(self, exported: FakeCollector, peer: Peer, call: Call) -> None:
        token = context.attach(context.set_value(_SUPPRESS_HTTP_INSTRUMENTATION_KEY, True))

        call(peer.url + "/200")
        context.detach(token)

        assert client_spans(exported) == []
        assert "traceparent" not in peer.received[0]

    def test_another_librarys_span_for_the_call_is_not_doubled(
        self, exported: FakeCollector, peer: Peer, call: Call
    ) -> None:
        given = {"traceparent": f"00-{'1' * 32}-{'2' * 16}-01", "tracestate": "a=1"}

        with clew.get_tracer(f"opentelemetry.instrumentation.{CALLS[call]}").start_as_current_span("GET"):
            hidden = context.attach(context.set_value(_SUPPRESS_HTTP_INSTRUMENTATION_KEY, True))
            call(peer.url + "/200", given)
            context.detach(hidden)

        assert client_spans(exported) == []
        (received,) = peer.received
        assert received["x-request-id"]
        assert (received["traceparent"], received["tracestate"]) == (given["traceparent"], "a=1")

    def test_switched_off_it_adds_nothing(self, exported: FakeCollector, peer: Peer, call: Call) -> None:
        clew.configure(service="orders", endpoint=exported.url, enabled=False)

        call(peer.url + "/302")

        for received in peer.received:
            assert "traceparent" not in received
            assert "x-request-id" not in received

    def test_configured_twice_it_is_one_span(self, exported: FakeCollector, peer: Peer, call: Call) -> None:
        clew.configure(service="other", endpoint=exported.url)

        call(peer.url + "/200")

        assert len(client_spans(exported)) == 1

    def test_through_a_proxy_it_is_a_call_to_the_server(self, exported: FakeCollector, peer: Peer, call: Call) -> None:
        call("http://inventory.example:8080/200?a=1", proxy=peer.url)

        _, attributes = the_span(exported)
        (received,) = peer.received
        assert received.target == "http://inventory.example:8080/200?a=1"
        assert received["traceparent"]
        assert attributes["url.full"] == "http://inventory.example:8080/200?a=1"
        assert (attributes["server.address"], attributes["server.port"]) == ("inventory.example", 8080)

    def test_a_proxy_that_opens_no_tunnel_is_recorded_and_raised(
        self, exported: FakeCollector, peer: Peer, call: Call
    ) -> None:
        with pytest.raises((OSError, httpx.ProxyError, urllib3.exceptions.HTTPError, aiohttp.ClientError)):
            call("https://inventory.example/200", proxy=peer.url)

        _, attributes = the_span(exported)
        assert (attributes["server.address"], attributes["server.port"]) == ("inventory.example", 443)
        assert attributes["error.type"]

    def test_calls_in_threads_each_belong_to_their_request(
        self, exported: FakeCollector, peer: Peer, call: Call
    ) -> None:
        def one(number: int) -> None:
            with clew.request(f"job {number}", correlation_id=f"job-{number}"):
                call(f"{peer.url}/200?job-{number}")

        threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)

        assert len(client_spans(exported)) == 8
        assert all(received.target.endswith(received["x-request-id"]) for received in peer.received)

    def test_an_id_that_no_header_can_hold_does_not_break_it(
        self, exported: FakeCollector, peer: Peer, call: Call
    ) -> None:
        with a_request("r\r\nX-Evil: 1 \u2603"):
            assert call(peer.url + "/200") == 200

        (received,) = peer.received
        assert "x-request-id" not in received
        assert "x-evil" not in received


@pytest.mark.parametrize("call", WRAPPED, ids=lambda call: call.__name__)
def test_clew_stays_inside_of_another_instrumentation_that_was_there_first(
    collector: FakeCollector, peer: Peer, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, name = WRAPPED[call]
    plain = getattr(owner.__dict__[name], "__wrapped__", owner.__dict__[name])

    def traced(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
        with clew.get_tracer(f"opentelemetry.instrumentation.{CALLS[call]}").start_as_current_span("GET"):
            return wrapped(*args, **kwargs)

    monkeypatch.setattr(owner, name, wrapt.FunctionWrapper(plain, traced))
    clew.configure(service="orders", endpoint=collector.url)

    call(peer.url + "/200")

    assert client_spans(collector) == []
    assert peer.received[0]["x-request-id"]


def test_the_sdks_own_span_for_the_call_is_not_doubled(exported: FakeCollector, peer: Peer) -> None:
    from opentelemetry.sdk.trace import TracerProvider

    tracer = TracerProvider().get_tracer("opentelemetry.instrumentation.requests")

    with a_request(), tracer.start_as_current_span("GET"):
        by_requests(peer.url + "/200")

    assert client_spans(exported) == []
    assert peer.received[0]["x-request-id"] == "r-1"


def test_the_plain_standard_library_is_left_alone(exported: FakeCollector, peer: Peer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", peer.port)
    connection.request("GET", "/200")
    connection.getresponse().read()
    connection.close()

    assert client_spans(exported) == []
    assert "traceparent" not in peer.received[0]
