import http.client
import urllib.error
import urllib.request

import pytest

from tests.instrumentation.clients.asking import a_request, client_spans, resend_counts, the_span
from tests.instrumentation.clients.peer import Peer
from tests.instrumentation.fake_collector import FakeCollector

_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


def test_a_request_is_left_as_it_was(exported: FakeCollector, peer: Peer) -> None:
    request = urllib.request.Request(peer.url + "/200", headers={"X-Tenant": "north"})

    for correlation_id in ("r-1", "r-2"):
        with a_request(correlation_id):
            _open(request).close()

    assert [received["x-request-id"] for received in peer.received] == ["r-1", "r-2"]
    assert request.headers == {"X-tenant": "north"}
    assert {name.lower() for name in request.unredirected_hdrs} <= {"host", "user-agent"}


def test_a_request_that_was_redirected_begins_anew(exported: FakeCollector, peer: Peer) -> None:
    request = urllib.request.Request(peer.url + "/302")

    _open(request).close()
    _open(peer.url + "/200").close()

    assert resend_counts(exported) == [0, 1, 0]


def test_a_body_is_sent(exported: FakeCollector, peer: Peer) -> None:
    _open(peer.url + "/200", data=b"a=1").close()

    (received,) = peer.received
    assert (received.method, received["content-length"]) == ("POST", "3")
    assert received["content-type"] == "application/x-www-form-urlencoded"


def test_an_error_response_is_raised_as_it_was(exported: FakeCollector, peer: Peer) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        _open(peer.url + "/404")

    with caught.value as error:
        assert error.read() == b"{}"
    span, _ = the_span(exported)
    assert span.events == []


def test_an_address_that_http_refuses_is_recorded_and_raised(exported: FakeCollector) -> None:
    with pytest.raises(http.client.InvalidURL):
        _open("http://127.0.0.1:port/")

    _, attributes = the_span(exported)
    assert attributes["error.type"] == "http.client.InvalidURL"
    assert "url.full" not in attributes


def test_a_file_is_no_http_call(exported: FakeCollector, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("files") / "a.txt"
    path.write_text("a")

    with _open(path.as_uri()) as answer:
        assert answer.read() == b"a"

    assert client_spans(exported) == []
