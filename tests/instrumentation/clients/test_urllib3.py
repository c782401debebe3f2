import asyncio
from typing import Any

import pytest
import requests
import urllib3
from botocore.awsrequest import AWSRequest
from botocore.httpsession import URLLib3Session
from elastic_transport import AiohttpHttpNode, NodeConfig, Urllib3HttpNode
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

import clew
from tests.instrumentation.clients.asking import a_request, client_spans, resend_counts, the_span
from tests.instrumentation.clients.peer import Peer
from tests.instrumentation.fake_collector import FakeCollector, attributes_of

PATIENT = Retry(3, status_forcelist=[503], backoff_factor=0)


@pytest.fixture
def session() -> Any:
    with requests.Session() as session:
        session.trust_env = False
        yield session


class TestRetries:
    def test_each_is_a_call_that_knows_its_turn(self, exported: FakeCollector, peer: Peer) -> None:
        with urllib3.PoolManager() as pools:
            assert pools.request("GET", peer.url + "/busy", retries=PATIENT).status == 200

        assert resend_counts(exported) == [0, 1]
        assert [received.span_id for received in peer.received] == [s.span_id.hex() for s in client_spans(exported)]

    def test_a_call_that_got_no_answer_counts(self, exported: FakeCollector, peer: Peer) -> None:
        with urllib3.PoolManager() as pools:
            assert pools.request("GET", peer.url + "/drop", retries=PATIENT).status == 200

        first, _ = client_spans(exported)
        assert attributes_of(first.attributes)["error.type"] == "http.client.RemoteDisconnected"
        assert resend_counts(exported) == [0, 1]

    def test_those_of_a_requests_adapter_count(
        self, exported: FakeCollector, peer: Peer, session: requests.Session
    ) -> None:
        session.mount("http://", HTTPAdapter(max_retries=PATIENT))

        assert session.get(peer.url + "/busy").status_code == 200

        assert resend_counts(exported) == [0, 1]

    def test_the_next_request_of_a_session_begins_anew(
        self, exported: FakeCollector, peer: Peer, session: requests.Session
    ) -> None:
        session.get(peer.url + "/302")
        session.get(peer.url + "/200")

        assert resend_counts(exported) == [0, 1, 0]

    def test_redirects_that_the_service_follows_itself_are_its_own_calls(
        self, exported: FakeCollector, peer: Peer, session: requests.Session
    ) -> None:
        answer = session.get(peer.url + "/302", allow_redirects=False)

        assert answer.next is not None
        assert session.send(answer.next).status_code == 200
        assert resend_counts(exported) == [0, 0]


class TestHeaders:
    def test_those_of_the_service_are_left_as_they_were(self, exported: FakeCollector, peer: Peer) -> None:
        headers = {"X-Tenant": "north", b"X-Bytes": "1"}

        with urllib3.PoolManager() as pools:
            pools.request("GET", peer.url + "/200", headers=headers)  # type: ignore[arg-type]

        assert list(headers) == ["X-Tenant", b"X-Bytes"]
        assert peer.received[0]["x-bytes"] == "1"

    def test_one_that_is_sent_twice_still_is(self, exported: FakeCollector, peer: Peer) -> None:
        headers = urllib3.HTTPHeaderDict({"X-Tenant": "north"})
        headers.add("X-Tenant", "south")

        with urllib3.PoolManager() as pools:
            pools.request("GET", peer.url + "/200", headers=headers)

        assert peer.received[0].all("x-tenant") == ["north", "south"]
        assert peer.received[0]["traceparent"]

    def test_a_prepared_request_is_sent_again_under_another_id(
        self, exported: FakeCollector, peer: Peer, session: requests.Session
    ) -> None:
        prepared = session.prepare_request(requests.Request("GET", peer.url + "/200"))

        for correlation_id in ("r-1", "r-2"):
            with a_request(correlation_id):
                session.send(prepared)

        assert [received["x-request-id"] for received in peer.received] == ["r-1", "r-2"]
        assert "traceparent" not in prepared.headers


class TestBody:
    def test_it_is_read_after_the_span_has_ended(
        self, exported: FakeCollector, peer: Peer, session: requests.Session
    ) -> None:
        with session.get(peer.url + "/200", stream=True) as answer:
            span, _ = the_span(exported)

            assert answer.content == b"{}"
        assert span.end_time_unix_nano > span.start_time_unix_nano

    def test_one_that_is_sent_arrives(self, exported: FakeCollector, peer: Peer, session: requests.Session) -> None:
        assert session.post(peer.url + "/201", data=iter([b"a", b"b"]), headers={"Content-Length": "2"}).ok

        assert attributes_of(client_spans(exported)[0].attributes)["http.request.method"] == "POST"


class TestFailures:
    def test_a_timeout_is_recorded_and_raised_as_it_was(
        self, exported: FakeCollector, peer: Peer, session: requests.Session
    ) -> None:
        with pytest.raises(requests.ReadTimeout):
            session.get(peer.url + "/hang", timeout=0.1)

        _, attributes = the_span(exported)
        assert attributes["error.type"] == "urllib3.exceptions.ReadTimeoutError"

    @pytest.mark.parametrize(
        ("url", "error"),
        [
            ("http://", requests.exceptions.InvalidURL),
            ("http://[::1", requests.exceptions.InvalidURL),
            ("orders", requests.exceptions.MissingSchema),
            ("gopher://orders", requests.exceptions.InvalidSchema),
        ],
    )
    def test_an_address_that_is_none_is_no_call(
        self, exported: FakeCollector, session: requests.Session, url: str, error: type[Exception]
    ) -> None:
        with pytest.raises(error):
            session.get(url)

        assert client_spans(exported) == []

    def test_a_host_that_does_not_exist_is_a_failed_call(
        self, exported: FakeCollector, session: requests.Session
    ) -> None:
        with pytest.raises(requests.ConnectionError):
            session.get("http://nowhere.invalid/200")

        _, attributes = the_span(exported)
        assert attributes["error.type"] == "urllib3.exceptions.NameResolutionError"


class TestLibrariesOnTop:
    """One span a request, with the IDs in its headers."""

    def test_botocore(self, exported: FakeCollector, peer: Peer) -> None:
        request = AWSRequest(method="GET", url=peer.url + "/200?list-type=2", headers={"X-Amz-Date": "now"}).prepare()

        with a_request():
            assert URLLib3Session().send(request).status_code == 200

        span, _ = the_span(exported)
        (received,) = peer.received
        assert received.span_id == span.span_id.hex()
        assert received["x-amz-date"] == "now"

    def test_the_elasticsearch_client(self, exported: FakeCollector, peer: Peer) -> None:
        node = Urllib3HttpNode(NodeConfig("http", "127.0.0.1", peer.port))

        with a_request():
            assert node.perform_request("GET", "/200").meta.status == 200
        node.close()

        span, _ = the_span(exported)
        assert peer.received[0].span_id == span.span_id.hex()

    def test_the_elasticsearch_client_on_aiohttp(self, exported: FakeCollector, peer: Peer) -> None:
        async def scenario() -> None:
            node = AiohttpHttpNode(NodeConfig("http", "127.0.0.1", peer.port))
            assert (await node.perform_request("GET", "/200")).meta.status == 200
            await node.close()

        with a_request():
            asyncio.run(scenario())

        span, _ = the_span(exported)
        assert peer.received[0].span_id == span.span_id.hex()


def test_without_w3c_headers_the_service_keeps_its_own(collector: FakeCollector, peer: Peer) -> None:
    clew.configure(service="orders", endpoint=collector.url, propagators=("b3",))
    own = {"traceparent": f"00-{'1' * 32}-{'2' * 16}-01", "tracestate": "a=1"}

    with urllib3.PoolManager() as pools:
        pools.request("GET", peer.url + "/200", headers=own)

    (received,) = peer.received
    assert received["b3"].split("-")[1] == client_spans(collector)[0].span_id.hex()
    assert (received["traceparent"], received["tracestate"]) == (own["traceparent"], "a=1")
