import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

import clew
from tests.instrumentation.clients.asking import a_request, client_spans, resend_counts, the_span
from tests.instrumentation.clients.peer import Peer
from tests.instrumentation.fake_collector import FakeCollector, attributes_of


@pytest.fixture
def client() -> Any:
    with httpx.Client(trust_env=False) as client:
        yield client


def run(scenario: Callable[[httpx.AsyncClient], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        async with httpx.AsyncClient(trust_env=False) as client:
            return await scenario(client)

    return asyncio.run(main())


class Patient(httpx.HTTPTransport):
    """A service's transport that sends a request again."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        if response.status_code != 503:
            return response
        response.close()
        return super().handle_request(request)


class TestRequest:
    def test_user_and_password_are_not_in_its_span(
        self, exported: FakeCollector, peer: Peer, client: httpx.Client
    ) -> None:
        client.get(f"http://user:password@127.0.0.1:{peer.port}/200#part")

        assert the_span(exported)[1]["url.full"] == peer.url + "/200"
        assert peer.received[0]["authorization"].startswith("Basic ")

    def test_it_is_left_as_it_was(self, exported: FakeCollector, peer: Peer, client: httpx.Client) -> None:
        request = client.build_request("GET", peer.url + "/200", headers={"tracestate": "a=1"})
        before = request.headers.raw

        client.send(request)

        assert request.headers.raw == before
        assert "tracestate" not in peer.received[0]

    def test_sent_again_it_has_its_new_callers_id(
        self, exported: FakeCollector, peer: Peer, client: httpx.Client
    ) -> None:
        request = client.build_request("GET", peer.url + "/200")

        for correlation_id in ("r-1", "r-2"):
            with a_request(correlation_id):
                client.send(request)

        assert [received["x-request-id"] for received in peer.received] == ["r-1", "r-2"]
        assert all(len(received.all("traceparent")) == 1 for received in peer.received)

    def test_an_address_of_no_http_server_is_recorded_and_raised(
        self, exported: FakeCollector, client: httpx.Client
    ) -> None:
        with pytest.raises(httpx.UnsupportedProtocol):
            client.get("gopher://orders/")

        _, attributes = the_span(exported)
        assert attributes["error.type"] == "httpx.UnsupportedProtocol"

    def test_the_headers_of_a_failed_one_are_left_too(self, exported: FakeCollector, client: httpx.Client) -> None:
        request = client.build_request("GET", "http://127.0.0.1:9/200")

        with pytest.raises(httpx.ConnectError) as caught:
            client.send(request)

        assert caught.value.request is request
        assert "traceparent" not in request.headers


class TestResending:
    def test_by_the_services_transport_counts(self, exported: FakeCollector, peer: Peer) -> None:
        with httpx.Client(transport=Patient()) as client:
            assert client.get(peer.url + "/busy").status_code == 200

        assert resend_counts(exported) == [0, 1]
        assert [received.span_id for received in peer.received] == [s.span_id.hex() for s in client_spans(exported)]

    def test_connecting_again_is_one_call(self, exported: FakeCollector) -> None:
        with httpx.Client(transport=httpx.HTTPTransport(retries=1)) as client, pytest.raises(httpx.ConnectError):
            client.get("http://127.0.0.1:9/200")

        assert resend_counts(exported) == [0]

    def test_by_digest_authentication_counts(self, exported: FakeCollector, peer: Peer, client: httpx.Client) -> None:
        class Twice(httpx.Auth):
            def auth_flow(self, request: httpx.Request) -> Any:
                response = yield request
                assert response.status_code == 401
                yield request

        client.get(peer.url + "/401", auth=Twice())

        assert resend_counts(exported) == [0, 1]


class TestAsync:
    def test_a_cancelled_call_ends_its_span_and_stays_cancelled(self, exported: FakeCollector, peer: Peer) -> None:
        async def call(client: httpx.AsyncClient) -> None:
            task = asyncio.ensure_future(client.get(peer.url + "/hang"))
            assert await asyncio.to_thread(peer.arrived.wait, 10)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        run(call)

        span, attributes = the_span(exported)
        assert attributes["error.type"] == "asyncio.exceptions.CancelledError"
        assert span.status.code == Status.STATUS_CODE_UNSET

    def test_a_timeout_is_recorded_and_raised_as_it_was(self, exported: FakeCollector, peer: Peer) -> None:
        async def call(client: httpx.AsyncClient) -> None:
            with pytest.raises(httpx.ReadTimeout):
                await client.get(peer.url + "/hang", timeout=0.1)

        run(call)

        assert the_span(exported)[1]["error.type"] == "httpx.ReadTimeout"

    def test_bodies_are_streamed_both_ways(self, exported: FakeCollector, peer: Peer) -> None:
        async def parts() -> AsyncIterator[bytes]:
            yield b"ab"

        async def call(client: httpx.AsyncClient) -> bytes:
            headers = {"Content-Length": "2"}
            async with client.stream("POST", peer.url + "/200", content=parts(), headers=headers) as answer:
                assert len(client_spans(exported)) == 1
                return await answer.aread()

        assert run(call) == b"{}"

    def test_calls_at_once_each_belong_to_their_request(self, exported: FakeCollector, peer: Peer) -> None:
        async def one(client: httpx.AsyncClient, number: int) -> None:
            with clew.request(f"job {number}", correlation_id=f"job-{number}"):
                await client.get(f"{peer.url}/200?job-{number}")

        async def calls(client: httpx.AsyncClient) -> None:
            await asyncio.gather(*(one(client, number) for number in range(8)))

        run(calls)

        assert all(received.target.endswith(received["x-request-id"]) for received in peer.received)
        ids = {attributes_of(span.attributes)["correlation.id"] for span in client_spans(exported)}
        assert ids == {f"job-{number}" for number in range(8)}


def test_a_mocked_transport_is_no_call(exported: FakeCollector) -> None:
    with httpx.Client(transport=httpx.MockTransport(lambda _request: httpx.Response(204))) as client:
        assert client.get("http://orders/").status_code == 204

    assert client_spans(exported) == []
