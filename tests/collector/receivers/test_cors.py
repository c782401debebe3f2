"""Pages in a browser may send to OTLP/HTTP from the origins that were named, and from no other."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from playwright.sync_api import Page

from clew_collector.errors import SpoolFull
from clew_collector.receivers.otlp_http import OtlpHttpReceiver
from tests.collector.otlp_builders import a_log, logs
from tests.collector.receivers.intake import Intake
from tests.collector.receivers.otlp_intake import otlp_intake

SHOP = "https://shop.example"
PROTOBUF = {"content-type": "application/x-protobuf"}
GOOD = logs(a_log("fine")).SerializeToString()
PREFLIGHT = {
    "origin": SHOP,
    "access-control-request-method": "POST",
    "access-control-request-headers": "content-type,traceparent,x-api-key",
}
SENDS = """async (url) => {
    const body = {resourceSpans: [{scopeSpans: [{spans: [
        {traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331", name: "click"}]}]}]};
    const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const headers = {"content-type": "application/json", traceparent, "x-team": "web"};
    const options = {method: "POST", headers, body: JSON.stringify(body), credentials: "include"};
    try {
        return (await fetch(url, options)).status;
    } catch (error) {
        return String(error);
    }
}"""


def an_intake(*origins: str, error: SpoolFull | None = None) -> Intake:
    return Intake(partial(OtlpHttpReceiver, cors_origins=origins), error=error, max_body_bytes=100_000)


def cors_of(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.startswith("access-control")}


@pytest.mark.parametrize("path", ["/v1/logs", "/v1/traces", "/v1/metrics"])
def test_a_preflight_allows_the_headers_that_it_asks_for(path: str) -> None:
    answer = an_intake(SHOP).send(path, b"", PREFLIGHT, method="OPTIONS")

    assert answer.is_success
    assert answer.headers["access-control-allow-origin"] == SHOP
    assert answer.headers["access-control-allow-methods"] == "POST"
    assert answer.headers["access-control-allow-headers"] == "content-type,traceparent,x-api-key"
    assert answer.headers["vary"] == "origin"


def test_an_answer_may_be_read_by_the_page() -> None:
    answer = an_intake(SHOP).send("/v1/logs", GOOD, {**PROTOBUF, "origin": SHOP})

    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == SHOP


def test_a_refusal_may_be_read_by_the_page_with_when_to_try_again() -> None:
    answer = an_intake(SHOP, error=SpoolFull("full")).send("/v1/logs", GOOD, {**PROTOBUF, "origin": SHOP})

    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (429, SHOP)
    assert answer.headers["access-control-expose-headers"] == "retry-after"


@pytest.mark.parametrize(
    "origin", ["https://shop.example.org", "http://shop.example", "https://shop.example:8443", "null"]
)
def test_another_origin_is_allowed_nothing(origin: str) -> None:
    intake = an_intake(SHOP)

    asked = intake.send("/v1/logs", b"", {**PREFLIGHT, "origin": origin}, method="OPTIONS")
    answered = intake.send("/v1/logs", GOOD, {**PROTOBUF, "origin": origin})

    assert (cors_of(dict(asked.headers)), cors_of(dict(answered.headers))) == ({}, {})


def test_by_default_no_origin_is_allowed() -> None:
    intake = an_intake()

    asked = intake.send("/v1/logs", b"", PREFLIGHT, method="OPTIONS")
    answered = intake.send("/v1/logs", GOOD, {**PROTOBUF, "origin": SHOP})

    assert (asked.status_code, answered.status_code) == (405, 200)
    assert (cors_of(dict(asked.headers)), cors_of(dict(answered.headers))) == ({}, {})


def test_any_origin_is_allowed_without_credentials() -> None:
    answer = an_intake("*").send("/v1/logs", b"", PREFLIGHT, method="OPTIONS")

    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers


def test_a_sender_that_is_no_browser_sees_no_difference() -> None:
    answer = an_intake(SHOP).send("/v1/logs", GOOD, PROTOBUF)

    assert (answer.status_code, cors_of(dict(answer.headers))) == (200, {})


def test_in_chromium_the_page_that_was_named_sends_and_another_does_not(page: Page) -> None:
    with a_web_site() as named, a_web_site() as other, otlp_intake(cors_origins=(named,)) as intake:
        url = f"http://{intake.http_address}/v1/traces"
        page.goto(other)
        told_other = page.evaluate(SENDS, url)
        page.goto(named)
        told_named = page.evaluate(SENDS, url)

        assert (told_named, told_other) == (200, "TypeError: Failed to fetch")
        assert [span.name for span in intake.spans] == ["click"]


@contextmanager
def a_web_site() -> Iterator[str]:
    """An origin with one empty page."""

    class Site(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
