import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from tests.instrumentation.clients.asking import a_request, client_spans, resend_counts, the_span
from tests.instrumentation.clients.peer import Peer
from tests.instrumentation.fake_collector import FakeCollector, attributes_of


def run(scenario: Callable[[aiohttp.ClientSession], Awaitable[Any]], **options: Any) -> Any:
    async def main() -> Any:
        async with aiohttp.ClientSession(**options) as session:
            return await scenario(session)

    return asyncio.run(main())


async def again_once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """A service's middleware that sends a request again."""
    request.headers["X-Try"] = "1"
    response = await handler(request)
    if response.status != 503:
        return response
    response.release()
    request.headers["X-Try"] = "2"
    return await handler(request)


class TestResending:
    def test_by_the_services_middleware_counts(self, exported: FakeCollector, peer: Peer) -> None:
        async def call(session: aiohttp.ClientSession) -> int:
            async with session.get(peer.url + "/busy") as answer:
                return answer.status

        assert run(call, middlewares=(again_once,)) == 200

        assert resend_counts(exported) == [0, 1]
        assert [received["x-try"] for received in peer.received] == ["1", "2"]
        assert [received.span_id for received in peer.received] == [s.span_id.hex() for s in client_spans(exported)]

    def test_by_a_middleware_of_one_call_counts(self, exported: FakeCollector, peer: Peer) -> None:
        async def call(session: aiohttp.ClientSession) -> int:
            async with session.get(peer.url + "/busy", middlewares=(again_once,)) as answer:
                return answer.status

        assert run(call) == 200

        assert resend_counts(exported) == [0, 1]

    def test_by_aiohttp_itself_counts(self, exported: FakeCollector, peer: Peer) -> None:
        async def call(session: aiohttp.ClientSession) -> int:
            async with session.get(peer.url + "/drop") as answer:
                return answer.status

        assert run(call) == 200

        first, _ = client_spans(exported)
        assert attributes_of(first.attributes)["error.type"] == "aiohttp.client_exceptions.ServerDisconnectedError"
        assert resend_counts(exported) == [0, 1]


class TestSessions:
    def test_trace_configs_of_the_service_see_what_they_saw(self, exported: FakeCollector, peer: Peer) -> None:
        seen: list[str] = []
        config = aiohttp.TraceConfig()

        async def started(_session: Any, _context: Any, params: aiohttp.TraceRequestStartParams) -> None:
            params.headers["X-Traced"] = "1"
            seen.append("start")

        async def ended(_session: Any, _context: Any, params: aiohttp.TraceRequestEndParams) -> None:
            seen.append(str(params.response.status))

        config.on_request_start.append(started)
        config.on_request_end.append(ended)

        async def call(session: aiohttp.ClientSession) -> None:
            async with session.get(peer.url + "/200"):
                pass

        run(call, trace_configs=[config])

        assert seen == ["start", "200"]
        assert peer.received[0]["x-traced"] == "1"
        assert peer.received[0].span_id == the_span(exported)[0].span_id.hex()

    @pytest.mark.filterwarnings("ignore:Inheritance class")
    def test_a_subclass_is_followed_once(self, exported: FakeCollector, peer: Peer) -> None:
        class Session(aiohttp.ClientSession):
            async def _request(self, *args: Any, **options: Any) -> aiohttp.ClientResponse:
                return await super()._request(*args, **options)

        async def main() -> None:
            async with Session(base_url=peer.url) as session, session.get("/200"):
                pass

        asyncio.run(main())

        assert the_span(exported)[1]["url.full"] == peer.url + "/200"

    def test_the_methods_of_a_session_return_what_they_did(self, exported: FakeCollector, peer: Peer) -> None:
        async def call(session: aiohttp.ClientSession) -> None:
            pending = session.get(peer.url + "/200")
            assert hasattr(pending, "__aenter__")
            answer = await pending
            assert isinstance(answer, aiohttp.ClientResponse)
            assert await answer.json(content_type=None) == {}

        run(call)

    def test_a_warning_still_points_at_the_service(self, exported: FakeCollector, peer: Peer) -> None:
        async def call(session: aiohttp.ClientSession) -> None:
            await session._request("GET", peer.url + "/200", proxy_auth=None, auth=aiohttp.BasicAuth("a", "b"))

        with pytest.warns(DeprecationWarning, match="auth") as warned:
            run(call)

        assert not any("clew" in warning.filename for warning in warned)


class TestEndings:
    def test_a_cancelled_call_ends_its_span_and_stays_cancelled(self, exported: FakeCollector, peer: Peer) -> None:
        async def call(session: aiohttp.ClientSession) -> None:
            task = asyncio.ensure_future(session.get(peer.url + "/hang").__aenter__())
            assert await asyncio.to_thread(peer.arrived.wait, 10)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        run(call)

        span, attributes = the_span(exported)
        assert attributes["error.type"] == "asyncio.exceptions.CancelledError"
        assert span.status.code == Status.STATUS_CODE_UNSET

    def test_a_timeout_is_recorded_and_raised_as_it_was(self, exported: FakeCollector, peer: Peer) -> None:
        async def call(session: aiohttp.ClientSession) -> None:
            with pytest.raises(aiohttp.ServerTimeoutError):
                await session.get(peer.url + "/hang", timeout=aiohttp.ClientTimeout(sock_read=0.1))

        run(call)

        for span in client_spans(exported):
            assert attributes_of(span.attributes)["error.type"] == "aiohttp.client_exceptions.SocketTimeoutError"

    @pytest.mark.parametrize("url", ["http://", "orders", "gopher://orders/"])
    def test_an_address_that_is_none_is_no_call(self, exported: FakeCollector, url: str) -> None:
        async def call(session: aiohttp.ClientSession) -> None:
            with pytest.raises((aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError)):
                await session.get(url)

        run(call)

        assert client_spans(exported) == []

    def test_a_body_is_read_after_the_span_has_ended(self, exported: FakeCollector, peer: Peer) -> None:
        async def call(session: aiohttp.ClientSession) -> bytes:
            async with session.get(peer.url + "/200") as answer:
                assert len(client_spans(exported)) == 1
                return await answer.read()

        with a_request():
            assert run(call) == b"{}"

    def test_a_closed_session_still_says_so(self, exported: FakeCollector, peer: Peer) -> None:
        async def call(session: aiohttp.ClientSession) -> None:
            await session.close()
            with pytest.raises(RuntimeError, match="Session is closed"):
                await session.get(peer.url + "/200")

        run(call)
