import asyncio
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import gevent
import pytest
from opentelemetry import baggage
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

import clew
from tests.instrumentation.fake_collector import FakeCollector, attributes_of
from tests.instrumentation.frameworks.asgi_apps import CALLER, TRACE, TRACEPARENT, exported_span, get
from tests.instrumentation.frameworks.asking import WsgiServer, ask_validated, ask_wsgi, environ_of

PLAIN = [("Content-Type", "text/plain")]


def ids_app(environ: Any, start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", PLAIN)
    return [f"{clew.correlation_id()} {clew.trace_id()}".encode()]


APP = clew.ClewWSGIMiddleware(ids_app)


class TestCorrelationId:
    def test_caller_id_is_kept_and_echoed(self) -> None:
        answer = ask_validated(APP, headers={"X-Request-ID": "req-1"})

        assert answer.error is None
        assert answer.body.split()[0] == b"req-1"
        assert answer.request_ids == ["req-1"]

    def test_x_correlation_id_is_read_when_there_is_no_x_request_id(self) -> None:
        assert ask_wsgi(APP, headers={"X-Correlation-ID": "corr-1"}).request_ids == ["corr-1"]

    def test_baggage_is_the_last_place_to_look(self) -> None:
        assert ask_wsgi(APP, headers={"baggage": "a=b,correlation.id=from%2Dbaggage"}).request_ids == ["from-baggage"]

    @pytest.mark.parametrize("bad", ["", "has space", "x" * 129, "caf\xe9", "a\x7f", "\u20ac", "\ud800"])
    def test_invalid_ids_are_replaced_by_a_new_one(self, bad: str) -> None:
        (made,) = ask_wsgi(APP, headers={"X-Request-ID": bad}).request_ids

        assert len(made) == 32
        assert int(made, 16)

    def test_an_id_that_the_app_sets_itself_is_replaced(self) -> None:
        always = [("x-request-id", "theirs"), ("X-Other", "1")]

        def app(environ: Any, start_response: Any) -> Iterable[bytes]:
            start_response("200 OK", always)
            return []

        middleware = clew.ClewWSGIMiddleware(app)
        first, second = (ask_wsgi(middleware, headers={"X-Request-ID": given}) for given in ("one", "two"))

        assert (first.request_ids, second.request_ids) == (["one"], ["two"])
        assert ("X-Other", "1") in second.headers
        assert always == [("x-request-id", "theirs"), ("X-Other", "1")]

    def test_the_settings_name_the_headers(self, collector: FakeCollector) -> None:
        clew.configure(
            service="orders", endpoint=collector.url, request_id_header="X-Trace", correlation_id_headers=["X-Flow"]
        )

        answer = ask_wsgi(APP, headers={"X-Flow": "flow-1", "X-Request-ID": "r"})

        assert ("X-Trace", "flow-1") in answer.headers


class TestSpan:
    def test_it_follows_the_http_conventions(self, exported: FakeCollector) -> None:
        headers = {"traceparent": TRACEPARENT, "tracestate": "a=1", "User-Agent": "probe/1", "X-Request-ID": "r-1"}

        ask_wsgi(APP, "/caf%C3%A9?q=1&sig=secret", headers, SCRIPT_NAME="/shop")

        span = exported_span(exported)
        assert (span.name, span.kind) == ("GET", Span.SPAN_KIND_SERVER)
        assert (span.trace_id.hex(), span.parent_span_id.hex(), span.trace_state) == (TRACE, CALLER, "a=1")
        assert attributes_of(span.attributes) == {
            "http.request.method": "GET",
            "http.response.status_code": 200,
            "url.scheme": "http",
            "url.path": "/shop/caf\xe9",
            "url.query": "q=1&sig=REDACTED",
            "network.protocol.version": "1.1",
            "client.address": "127.0.0.1",
            "server.address": "shop.example",
            "server.port": 8000,
            "user_agent.original": "probe/1",
            "correlation.id": "r-1",
        }

    def test_an_environ_with_next_to_nothing_in_it_will_do(self, exported: FakeCollector) -> None:
        assert list(APP({}, lambda *_: lambda _: None))

        assert exported_span(exported).name == "GET"

    @pytest.mark.parametrize(
        "more", [{"HTTP_TRACEPARENT": 7}, {"HTTP_BAGGAGE": None}, {"HTTP_HOST": "\u20ac"}, {"QUERY_STRING": "\u20ac"}]
    )
    def test_values_that_no_server_gives_do_no_harm(self, exported: FakeCollector, more: dict[str, Any]) -> None:
        assert ask_wsgi(APP, **more).status == 200

        exported_span(exported)

    def test_a_method_that_nobody_knows_names_no_span(self, exported: FakeCollector) -> None:
        ask_wsgi(APP, REQUEST_METHOD="BREW")

        span = exported_span(exported)
        assert span.name == "HTTP"
        assert attributes_of(span.attributes)["http.request.method_original"] == "BREW"

    def test_excluded_paths_have_an_id_and_no_span(self, collector: FakeCollector) -> None:
        clew.configure(service="orders", endpoint=collector.url, excluded_urls=["^/health$"])

        answer = ask_wsgi(APP, "/health", {"X-Request-ID": "r"})

        clew.flush()
        assert answer.request_ids == ["r"]
        assert collector.spans == []

    def test_a_local_parent_is_joined(self, exported: FakeCollector) -> None:
        with clew.get_tracer("test").start_as_current_span("caller"):
            ask_wsgi(APP)

        clew.flush()
        server, caller = exported.spans
        assert server.parent_span_id == caller.span_id

    def test_baggage_is_there_for_opentelemetrys_api(self) -> None:
        seen: dict[str, object] = {}

        def app(environ: Any, start_response: Any) -> Iterable[bytes]:
            seen.update(baggage.get_all())
            return ids_app(environ, start_response)

        ask_wsgi(clew.ClewWSGIMiddleware(app), headers={"baggage": "tenant=acme", "X-Request-ID": "r"})

        assert seen == {"tenant": "acme", "correlation.id": "r"}

    def test_one_middleware_in_another_makes_one_span(self, exported: FakeCollector) -> None:
        answer = ask_wsgi(clew.ClewWSGIMiddleware(APP))

        assert len(answer.request_ids) == 1
        exported_span(exported)

    def test_an_app_that_a2wsgi_runs_in_an_asgi_app_is_part_of_its_request(self, exported: FakeCollector) -> None:
        async def bridge(scope: Any, receive: Any, send: Any) -> None:
            server = WsgiServer()
            environ = environ_of("/", {"traceparent": TRACEPARENT}) | {"asgi.scope": scope}
            await asyncio.to_thread(lambda: server.take(APP(environ, server.start_response)))
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"".join(server.chunks)})

        response = asyncio.run(get(clew.ClewMiddleware(bridge), headers={"X-Request-ID": "r"}))

        assert response.text.startswith("r ")
        exported_span(exported)


def streaming(environ: Any, start_response: Any) -> Iterator[bytes]:
    """A generator function as an app: nothing of it runs before the server takes the first part."""
    start_response("200 OK", PLAIN)
    with clew.get_tracer("shop").start_as_current_span("stream"):
        for number in range(3):
            logging.getLogger("shop").warning("part %d", number)
            yield b"part"


class Parts:
    """A body with a `close`, as frameworks make them."""

    def __init__(self, when_closed: Callable[[], object] = lambda: None) -> None:
        self.when_closed = when_closed

    def __iter__(self) -> Iterator[bytes]:
        yield str(clew.correlation_id()).encode()

    def close(self) -> None:
        self.when_closed()


def answering(body: Iterable[bytes]) -> clew.ClewWSGIMiddleware:
    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", PLAIN)
        return body

    return clew.ClewWSGIMiddleware(app)


class TestBody:
    def test_a_stream_goes_on_in_the_request_and_in_its_own_span(self, exported: FakeCollector) -> None:
        answer = ask_validated(clew.ClewWSGIMiddleware(streaming), headers={"X-Request-ID": "r"})

        assert (answer.error, answer.body) == (None, b"part" * 3)
        clew.flush()
        stream, server = exported.spans
        assert stream.parent_span_id == server.span_id
        assert {log.span_id for log in exported.logs} == {stream.span_id}
        assert server.end_time_unix_nano >= stream.end_time_unix_nano

    def test_between_two_parts_the_thread_is_free_for_others(self, exported: FakeCollector) -> None:
        seen: list[str | None] = []
        bodies = []
        for name in ("one", "two"):
            app = clew.ClewWSGIMiddleware(streaming)
            bodies.append(iter(app(environ_of("/", {"X-Request-ID": name}), WsgiServer().start_response)))

        for _ in range(3):
            for body in bodies:
                next(body)
                seen.append(clew.correlation_id())

        assert seen == [None] * 6
        assert [next(body, None) for body in bodies] == [None, None]
        clew.flush()
        by_trace = {(log.trace_id, attributes_of(log.attributes)["correlation.id"]) for log in exported.logs}
        assert {correlation_id for _, correlation_id in by_trace} == {"one", "two"}
        assert len(by_trace) == 2
        assert len(exported.spans) == 4

    def test_a_caller_that_goes_ends_the_stream_in_its_request(self, exported: FakeCollector) -> None:
        app = clew.ClewWSGIMiddleware(streaming)
        body: Any = app(environ_of(), WsgiServer().start_response)
        next(iter(body))

        body.close()

        clew.flush()
        stream, server = exported.spans
        assert stream.parent_span_id == server.span_id
        assert server.status.code == stream.status.code == Status.STATUS_CODE_UNSET
        assert clew.trace_id() is None

    def test_close_is_called_in_the_request(self, exported: FakeCollector) -> None:
        seen: list[str | None] = []
        app = answering(Parts(lambda: seen.append(clew.correlation_id())))

        assert ask_wsgi(app, headers={"X-Request-ID": "r"}).body == b"r"

        assert seen == ["r"]
        assert clew.correlation_id() is None
        exported_span(exported)

    def test_a_body_that_fails_is_recorded_and_fails_the_same(self, exported: FakeCollector) -> None:
        error = ValueError("half way")

        def parts() -> Iterator[bytes]:
            yield b"one"
            raise error

        answer = ask_wsgi(answering(parts()))

        assert answer.error is error
        assert (answer.status, answer.body) == (200, b"one")
        span = exported_span(exported)
        assert span.status.code == Status.STATUS_CODE_ERROR
        assert attributes_of(span.attributes)["error.type"] == "ValueError"

    def test_a_close_that_fails_is_recorded_and_fails_the_same(self, exported: FakeCollector) -> None:
        error = ValueError("close")

        def fail() -> None:
            raise error

        body: Any = answering(Parts(fail))(environ_of(), WsgiServer().start_response)
        with pytest.raises(ValueError, match="close") as caught:
            body.close()

        assert caught.value is error
        assert exported_span(exported).status.code == Status.STATUS_CODE_ERROR

    @pytest.mark.parametrize("body", [[b"a", b"b"], (b"a",), []])
    def test_a_list_is_handed_on_as_it_is(self, exported: FakeCollector, body: Any) -> None:
        assert answering(body)(environ_of(), WsgiServer().start_response) is body

        exported_span(exported)

    def test_a_body_that_knows_its_length_still_does(self, exported: FakeCollector) -> None:
        class Sized(Parts):
            def __len__(self) -> int:
                return 1

        assert len(answering(Sized())(environ_of(), WsgiServer().start_response)) == 1  # type: ignore[arg-type]
        assert not hasattr(answering(Parts())(environ_of(), WsgiServer().start_response), "__len__")

    def test_what_is_written_comes_before_the_body(self, exported: FakeCollector) -> None:
        def app(environ: Any, start_response: Any) -> Iterable[bytes]:
            start_response("200 OK", PLAIN)(b"written, ")
            return [b"returned"]

        assert ask_wsgi(clew.ClewWSGIMiddleware(app)).body == b"written, returned"

    def test_greenlets_do_not_see_each_others_requests(self, exported: FakeCollector) -> None:
        def app(environ: Any, start_response: Any) -> Iterator[bytes]:
            start_response("200 OK", PLAIN)
            for _ in range(3):
                gevent.sleep(0)
                yield str(clew.correlation_id()).encode()

        middleware = clew.ClewWSGIMiddleware(app)
        names = [f"r-{number}" for number in range(5)]
        greenlets = [gevent.spawn(ask_wsgi, middleware, headers={"X-Request-ID": name}) for name in names]
        gevent.joinall(greenlets, raise_error=True)

        assert [greenlet.value.body.decode() for greenlet in greenlets] == [name * 3 for name in names]

    def test_a_body_may_be_taken_by_another_thread(self, exported: FakeCollector) -> None:
        server = WsgiServer()
        body = clew.ClewWSGIMiddleware(streaming)(environ_of("/", {"X-Request-ID": "r"}), server.start_response)
        thread = threading.Thread(target=server.take, args=[body])
        thread.start()
        thread.join()

        clew.flush()
        assert server.chunks == [b"part"] * 3
        assert {attributes_of(log.attributes)["correlation.id"] for log in exported.logs} == {"r"}
