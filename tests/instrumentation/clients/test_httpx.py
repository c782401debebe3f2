import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import httpx
import pytest
from opentelemetry import baggage, context
from opentelemetry.context import _SUPPRESS_HTTP_INSTRUMENTATION_KEY
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

import clew
from clew.importing import when_imported
from tests.instrumentation.fake_collector import FakeCollector, attributes_of


class Echo(BaseHTTPRequestHandler):
    """Answers with the status in the path; keeps what it was sent."""

    protocol_version = "HTTP/1.1"
    seen: ClassVar[list[dict[str, str]]]

    def do_GET(self) -> None:
        self.seen.append({name.lower(): value for name, value in self.headers.items()})
        status = int(self.path.partition("?")[0].rpartition("/")[2])
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/200")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def peer() -> Iterator[Any]:
    """A service that is called: its `url`, and the headers it has `seen`."""

    class Handler(Echo):
        seen: ClassVar[list[dict[str, str]]] = []

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False
        seen = Handler.seen

        @property
        def url(self) -> str:
            return f"http://127.0.0.1:{self.server_address[1]}"

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def call_sync(url: str, **options: Any) -> httpx.Response:
    return httpx.get(url, **options)


def call_async(url: str, **options: Any) -> httpx.Response:
    async def call() -> httpx.Response:
        follow = options.pop("follow_redirects", False)
        async with httpx.AsyncClient(follow_redirects=follow) as client:
            return await client.get(url, **options)

    return asyncio.run(call())


CALLS = [call_sync, call_async]
Call = Callable[..., httpx.Response]


@contextmanager
def a_request(correlation_id: str = "r-1") -> Iterator[None]:
    token = context.attach(baggage.set_baggage("correlation.id", correlation_id))
    try:
        with clew.get_tracer("test").start_as_current_span("handler"):
            yield
    finally:
        context.detach(token)


def client_spans(collector: FakeCollector) -> list[Span]:
    assert clew.flush()
    return [span for span in collector.spans if span.kind == Span.SPAN_KIND_CLIENT]


@pytest.mark.parametrize("call", CALLS)
class TestCall:
    def test_it_carries_the_ids_on(self, exported: FakeCollector, peer: Any, call: Call) -> None:
        with a_request("r, 1"):
            call(peer.url + "/200")

        (span,) = client_spans(exported)
        (headers,) = peer.seen
        assert headers["traceparent"] == f"00-{span.trace_id.hex()}-{span.span_id.hex()}-03"
        assert headers["x-request-id"] == "r, 1"
        assert headers["baggage"] == "correlation.id=r%2C%201"
        assert attributes_of(span.attributes)["correlation.id"] == "r, 1"
        parent = next(span for span in exported.spans if span.name == "handler")
        assert span.parent_span_id == parent.span_id

    def test_its_span_follows_the_http_conventions(self, exported: FakeCollector, peer: Any, call: Call) -> None:
        port = peer.server_address[1]

        call(f"http://user:password@127.0.0.1:{port}/200?a=1&sig=secret")

        (span,) = client_spans(exported)
        attributes = attributes_of(span.attributes)
        attributes.pop("correlation.id")
        assert span.name == "GET"
        assert span.status.code == Status.STATUS_CODE_UNSET
        assert attributes == {
            "http.request.method": "GET",
            "url.full": f"http://127.0.0.1:{port}/200?a=1&sig=REDACTED",
            "server.address": "127.0.0.1",
            "server.port": port,
            "http.response.status_code": 200,
        }

    @pytest.mark.parametrize("status", [404, 503])
    def test_an_error_response_is_an_error(self, exported: FakeCollector, peer: Any, call: Call, status: int) -> None:
        call(f"{peer.url}/{status}")

        (span,) = client_spans(exported)
        assert span.status.code == Status.STATUS_CODE_ERROR
        assert attributes_of(span.attributes)["error.type"] == str(status)

    def test_a_failed_connection_is_recorded_and_raised(self, exported: FakeCollector, call: Call) -> None:
        with pytest.raises(httpx.ConnectError):
            call("http://127.0.0.1:9/200")

        (span,) = client_spans(exported)
        assert span.status.code == Status.STATUS_CODE_ERROR
        assert attributes_of(span.attributes)["error.type"] == "httpx.ConnectError"
        assert [event.name for event in span.events] == ["exception"]

    def test_each_redirect_is_a_call(self, exported: FakeCollector, peer: Any, call: Call) -> None:
        call(peer.url + "/302", follow_redirects=True)

        first, second = client_spans(exported)
        assert attributes_of(first.attributes)["http.response.status_code"] == 302
        assert [headers["traceparent"].split("-")[2] for headers in peer.seen] == [
            first.span_id.hex(),
            second.span_id.hex(),
        ]

    def test_a_callers_trace_headers_that_are_passed_on_are_replaced(
        self, exported: FakeCollector, peer: Any, call: Call
    ) -> None:
        stale = {"traceparent": f"00-{'1' * 32}-{'2' * 16}-01", "tracestate": "a=1", "X-Request-ID": "chosen"}

        with a_request("r-1"):
            call(peer.url + "/200", headers=stale)

        (span,) = client_spans(exported)
        (headers,) = peer.seen
        assert headers["traceparent"].split("-")[1] == span.trace_id.hex()
        assert "tracestate" not in headers
        assert headers["x-request-id"] == "chosen"

    def test_suppressed_calls_are_left_alone(self, exported: FakeCollector, peer: Any, call: Call) -> None:
        token = context.attach(context.set_value(_SUPPRESS_HTTP_INSTRUMENTATION_KEY, True))

        call(peer.url + "/200")
        context.detach(token)

        assert client_spans(exported) == []
        assert "traceparent" not in peer.seen[0]

    def test_another_librarys_span_for_the_call_is_not_doubled(
        self, exported: FakeCollector, peer: Any, call: Call
    ) -> None:
        with clew.get_tracer("opentelemetry.instrumentation.httpx").start_as_current_span("GET"):
            call(peer.url + "/200")

        assert client_spans(exported) == []
        assert peer.seen[0]["x-request-id"]

    def test_switched_off_it_adds_nothing(self, exported: FakeCollector, peer: Any, call: Call) -> None:
        clew.configure(service="orders", endpoint=exported.url, enabled=False)

        call(peer.url + "/200")

        assert "traceparent" not in peer.seen[0]
        assert "x-request-id" not in peer.seen[0]


def test_configured_twice_a_call_is_one_span(exported: FakeCollector, peer: Any) -> None:
    clew.configure(service="other", endpoint=exported.url)

    call_sync(peer.url + "/200")

    assert len(client_spans(exported)) == 1


def test_a_cancelled_call_ends_its_span(exported: FakeCollector) -> None:
    async def say_nothing(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(30)
        writer.close()  # kept until here: from Python 3.13 on, one that nobody holds closes by itself

    async def scenario() -> None:
        listener = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        async with httpx.AsyncClient() as client:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(client.get(f"http://127.0.0.1:{port}/"), 0.1)
        listener.close()

    asyncio.run(scenario())

    (span,) = client_spans(exported)
    assert span.status.code == Status.STATUS_CODE_UNSET


class TestImporting:
    def test_configure_does_not_import_httpx(self) -> None:
        script = "import clew, sys; clew.configure(service='s'); assert 'httpx' not in sys.modules"

        subprocess.run([sys.executable, "-c", script], check=True)

    def test_httpx_is_wrapped_when_it_is_imported_later(self) -> None:
        script = (
            "import clew; clew.configure(service='s'); import httpx;"
            "assert hasattr(httpx.HTTPTransport.handle_request, '_clew_wrapped');"
            "assert type(httpx.__spec__.loader).__name__ == 'SourceFileLoader'"
        )

        subprocess.run([sys.executable, "-c", script], check=True)

    def test_importing_clew_is_light(self) -> None:
        heavy = ["httpx", "starlette", "fastapi", "pydantic", "requests", "opentelemetry.sdk", "google.protobuf"]
        script = f"import clew, sys; found = [n for n in {heavy!r} if n in sys.modules]; assert not found, found"

        subprocess.run([sys.executable, "-c", script], check=True)

    def test_a_module_that_is_there_already_is_met_at_once(self) -> None:
        called: list[str] = []

        when_imported("httpx", lambda: called.append("now"))

        assert called == ["now"]

    def test_a_module_that_does_not_exist_still_does_not(self) -> None:
        when_imported("no_such_module_here", lambda: pytest.fail("imported"))

        with pytest.raises(ModuleNotFoundError):
            __import__("no_such_module_here")
        sys.meta_path[:] = [finder for finder in sys.meta_path if getattr(finder, "name", "") != "no_such_module_here"]
