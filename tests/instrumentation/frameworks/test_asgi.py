import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI, WebSocket
from opentelemetry import baggage, trace
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

import clew
from tests.instrumentation.fake_collector import FakeCollector, attributes_of

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{CALLER}-01"


async def get(app: Any, path: str = "/", **options: Any) -> httpx.Response:
    raises = options.pop("raises", True)
    method = options.pop("method", "GET")
    transport = httpx.ASGITransport(app, raise_app_exceptions=raises)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop.example:8000") as client:
        return await client.request(method, path, **options)


def ids_app() -> Starlette:
    async def ids(request: Request) -> JSONResponse:
        return JSONResponse({"correlation_id": clew.correlation_id(), "trace_id": clew.trace_id()})

    return clew.instrument(Starlette(routes=[Route("/{anything:path}", ids)]))


def exported_span(collector: FakeCollector) -> Span:
    assert clew.flush()
    (span,) = collector.spans
    return span


@pytest.mark.usefixtures("exported")
class TestCorrelationId:
    def test_caller_id_is_kept_and_echoed(self) -> None:
        response = asyncio.run(get(ids_app(), headers={"X-Request-ID": "req-1"}))

        assert response.json()["correlation_id"] == "req-1"
        assert response.headers.get_list("x-request-id") == ["req-1"]

    def test_x_correlation_id_is_read_when_there_is_no_x_request_id(self) -> None:
        response = asyncio.run(get(ids_app(), headers={"X-Correlation-ID": "corr-1"}))

        assert response.headers["x-request-id"] == "corr-1"

    def test_x_request_id_wins_over_the_other_places(self) -> None:
        headers = {"X-Request-ID": "one", "X-Correlation-ID": "two", "baggage": "correlation.id=three"}

        assert asyncio.run(get(ids_app(), headers=headers)).headers["x-request-id"] == "one"

    def test_baggage_is_the_last_place_to_look(self) -> None:
        response = asyncio.run(get(ids_app(), headers={"baggage": "a=b,correlation.id=from%2Dbaggage"}))

        assert response.headers["x-request-id"] == "from-baggage"

    @pytest.mark.parametrize("bad", ["", "has space", "x" * 129, "caf\u00e9".encode("latin-1"), b"a\x7f"])
    def test_invalid_ids_are_replaced_by_a_new_one(self, bad: str | bytes) -> None:
        value = bad.encode() if isinstance(bad, str) else bad

        made = asyncio.run(get(ids_app(), headers=[(b"x-request-id", value)])).headers["x-request-id"]

        assert len(made) == 32
        assert int(made, 16)

    def test_the_longest_valid_id_passes(self) -> None:
        longest = "~" * 128

        assert asyncio.run(get(ids_app(), headers={"X-Request-ID": longest})).headers["x-request-id"] == longest

    def test_two_requests_get_two_ids(self) -> None:
        app = ids_app()

        assert asyncio.run(get(app)).headers["x-request-id"] != asyncio.run(get(app)).headers["x-request-id"]

    def test_an_id_that_the_app_sets_itself_is_replaced(self) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            headers = [(b"X-Request-ID", b"theirs"), (b"x-request-id", b"again"), (b"x-other", b"1")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body"})

        response = asyncio.run(get(clew.ClewMiddleware(app), headers={"X-Request-ID": "ours"}))

        assert response.headers.get_list("x-request-id") == ["ours"]
        assert response.headers["x-other"] == "1"

    def test_a_response_that_is_sent_again_and_again_has_one_id_each(self) -> None:
        always = PlainTextResponse("same object")
        app = clew.instrument(Starlette(routes=[Route("/", lambda request: always)]))

        asyncio.run(get(app, headers={"X-Request-ID": "first"}))
        response = asyncio.run(get(app, headers={"X-Request-ID": "second"}))

        assert response.headers.get_list("x-request-id") == ["second"]

    def test_nothing_is_left_of_a_request_after_it(self) -> None:
        async def scenario() -> None:
            await get(ids_app())
            assert clew.correlation_id() is None
            assert clew.trace_id() is None

        asyncio.run(scenario())


class TestTrace:
    def test_the_callers_trace_goes_on(self, exported: FakeCollector) -> None:
        headers = {"traceparent": TRACEPARENT, "tracestate": "a=1, b@c=2"}

        asyncio.run(get(ids_app(), headers=headers))

        span = exported_span(exported)
        assert span.trace_id.hex() == TRACE
        assert span.parent_span_id.hex() == CALLER
        assert span.trace_state == "a=1,b@c=2"
        assert span.flags & 0x301 == 0x301

    def test_an_invalid_traceparent_starts_a_trace_and_drops_the_tracestate(self, exported: FakeCollector) -> None:
        asyncio.run(get(ids_app(), headers={"traceparent": f"00-{'0' * 32}-{CALLER}-01", "tracestate": "a=1"}))

        span = exported_span(exported)
        assert span.trace_id.hex() != TRACE
        assert not span.parent_span_id
        assert not span.trace_state

    def test_two_traceparents_are_none(self, exported: FakeCollector) -> None:
        asyncio.run(get(ids_app(), headers=[("traceparent", TRACEPARENT), ("traceparent", TRACEPARENT)]))

        assert exported_span(exported).trace_id.hex() != TRACE

    def test_an_unsampled_caller_gets_ids_but_no_span(self, exported: FakeCollector) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            logging.getLogger("shop").warning("still logged")
            with clew.get_tracer("shop").start_as_current_span("child"):
                await PlainTextResponse("")(scope, receive, send)

        asyncio.run(get(clew.ClewMiddleware(app), headers={"traceparent": f"00-{TRACE}-{CALLER}-00"}))

        clew.flush()
        assert exported.spans == []
        (log,) = exported.logs
        assert log.trace_id.hex() == TRACE
        assert attributes_of(log.attributes)["correlation.id"]

    def test_b3_is_read(self, exported: FakeCollector) -> None:
        asyncio.run(get(ids_app(), headers={"b3": f"{TRACE}-{CALLER}-1"}))

        assert exported_span(exported).parent_span_id.hex() == CALLER

    def test_a_local_parent_is_joined(self, exported: FakeCollector) -> None:
        async def scenario() -> str | None:
            with clew.get_tracer("test").start_as_current_span("caller"):
                await get(ids_app())
                return clew.trace_id()

        trace_id = asyncio.run(scenario())

        clew.flush()
        server, caller = exported.spans
        assert server.trace_id.hex() == trace_id
        assert server.parent_span_id == caller.span_id

    def test_a_span_that_ended_before_is_no_parent(self, exported: FakeCollector) -> None:
        """Servers that are started inside of a span keep its context for every connection."""

        async def scenario() -> None:
            with clew.get_tracer("test").start_as_current_span("start the server"):
                ended = asyncio.Event()

                async def connection() -> None:
                    await ended.wait()
                    await get(ids_app())

                task = asyncio.create_task(connection())
            ended.set()
            await task

        asyncio.run(scenario())

        clew.flush()
        start, server = exported.spans
        assert server.trace_id != start.trace_id

    def test_baggage_is_there_for_opentelemetrys_api(self, exported: FakeCollector) -> None:
        seen: dict[str, object] = {}

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            seen.update(baggage.get_all())
            await PlainTextResponse("")(scope, receive, send)

        asyncio.run(get(clew.ClewMiddleware(app), headers={"baggage": "tenant=acme;p=1", "X-Request-ID": "r"}))

        assert seen == {"tenant": "acme", "correlation.id": "r"}


class TestServerSpan:
    def test_it_follows_the_http_conventions(self, exported: FakeCollector) -> None:
        async def item(request: Request) -> Response:
            return Response(status_code=404)

        app = clew.instrument(Starlette(routes=[Route("/items/{id:int}", item)]))
        headers = {"user-agent": "probe/1", "X-Request-ID": "r-1"}

        asyncio.run(get(app, "/items/7?q=1&sig=secret&b=%20", headers=headers))

        span = exported_span(exported)
        assert span.name == "GET /items/{id:int}"
        assert span.kind == Span.SPAN_KIND_SERVER
        assert span.status.code == Status.STATUS_CODE_UNSET
        assert span.end_time_unix_nano > span.start_time_unix_nano
        assert attributes_of(span.attributes) == {
            "http.request.method": "GET",
            "url.scheme": "http",
            "url.path": "/items/7",
            "url.query": "q=1&sig=REDACTED&b=%20",
            "http.route": "/items/{id:int}",
            "http.response.status_code": 404,
            "network.protocol.version": "1.1",
            "client.address": "127.0.0.1",
            "server.address": "shop.example",
            "server.port": 8000,
            "user_agent.original": "probe/1",
            "correlation.id": "r-1",
        }

    def test_a_5xx_is_an_error(self, exported: FakeCollector) -> None:
        app = clew.instrument(Starlette(routes=[Route("/", lambda request: Response(status_code=503))]))

        asyncio.run(get(app))

        span = exported_span(exported)
        assert span.status.code == Status.STATUS_CODE_ERROR
        assert attributes_of(span.attributes)["error.type"] == "503"

    def test_without_a_route_the_path_is_not_in_the_name(self, exported: FakeCollector) -> None:
        asyncio.run(get(clew.instrument(Starlette()), "/wp-login.php"))

        assert exported_span(exported).name == "GET"

    def test_a_method_that_nobody_knows_is_not_in_the_name(self, exported: FakeCollector) -> None:
        asyncio.run(get(clew.instrument(Starlette()), method="ATTACK"))

        span = exported_span(exported)
        assert span.name == "HTTP"
        assert attributes_of(span.attributes)["http.request.method"] == "_OTHER"
        assert attributes_of(span.attributes)["http.request.method_original"] == "ATTACK"

    def test_mounts_are_part_of_the_route(self, exported: FakeCollector) -> None:
        inner = Route("/items/{id}", lambda request: Response())
        app = clew.instrument(Starlette(routes=[Mount("/tenants/{tenant}", routes=[Mount("/v1", routes=[inner])])]))

        asyncio.run(get(app, "/tenants/acme/v1/items/3"))

        assert exported_span(exported).name == "GET /tenants/{tenant}/v1/items/{id}"

    def test_a_mount_without_a_match_inside_is_named_once(self, exported: FakeCollector) -> None:
        app = clew.instrument(Starlette(routes=[Mount("/static", app=Response(status_code=404))]))

        asyncio.run(get(app, "/static/x.css"))

        assert exported_span(exported).name == "GET /static"

    def test_prefixes_of_included_routers_are_part_of_the_route(self, exported: FakeCollector) -> None:
        app, outer, inner = FastAPI(), APIRouter(prefix="/orders"), APIRouter()
        inner.add_api_route("/{id}", lambda id: None)
        outer.include_router(inner, prefix="/eu")
        app.include_router(outer, prefix="/v1")

        asyncio.run(get(clew.instrument(app), "/v1/orders/eu/3"))

        assert exported_span(exported).name == "GET /v1/orders/eu/{id}"

    def test_mounted_fastapi_apps_are_part_of_the_route(self, exported: FakeCollector) -> None:
        app, mounted = FastAPI(), FastAPI()
        mounted.add_api_route("/items/{id}", lambda id: None)
        app.mount("/shop", mounted)

        asyncio.run(get(clew.instrument(app), "/shop/items/3"))

        assert exported_span(exported).name == "GET /shop/items/{id}"

    def test_a_name_and_attributes_that_the_service_sets_stay(self, exported: FakeCollector) -> None:
        async def buy(request: Request) -> Response:
            clew.current_span().update_name("buy")
            clew.current_span().set_attribute("url.path", "hidden")
            return Response()

        asyncio.run(get(clew.instrument(Starlette(routes=[Route("/", buy)]))))

        span = exported_span(exported)
        assert span.name == "buy"
        assert attributes_of(span.attributes)["url.path"] == "hidden"

    def test_background_tasks_do_not_count_as_the_callers_waiting_time(self, exported: FakeCollector) -> None:
        seen: list[str | None] = []

        async def later() -> None:
            await asyncio.sleep(0.1)
            seen.append(clew.correlation_id())

        async def page(request: Request) -> Response:
            return Response(background=BackgroundTask(later))

        asyncio.run(get(clew.instrument(Starlette(routes=[Route("/", page)])), headers={"X-Request-ID": "r"}))

        span = exported_span(exported)
        assert span.end_time_unix_nano - span.start_time_unix_nano < 90_000_000
        assert seen == ["r"]

    def test_fastapi_does_not_trace_the_same_request_again(self, exported: FakeCollector) -> None:
        app = FastAPI()
        app.add_api_route("/", lambda: None)

        asyncio.run(get(clew.ClewMiddleware(app)))
        asyncio.run(get(clew.instrument(app)))

        clew.flush()
        assert [span.name for span in exported.spans] == ["GET /", "GET /"]

    def test_an_instrumented_app_in_another_one_makes_no_second_span(self, exported: FakeCollector) -> None:
        inner = clew.instrument(FastAPI())
        inner.add_api_route("/", lambda: None)
        outer = clew.ClewMiddleware(clew.instrument(Starlette(routes=[Mount("/in", app=inner)])))

        asyncio.run(get(outer, "/in/"))

        exported_span(exported)


class Broken(Exception):
    pass


class TestFailures:
    def test_an_unhandled_exception_is_recorded_and_passes_unchanged(self, exported: FakeCollector) -> None:
        error = Broken("no stock")

        async def fail(request: Request) -> Response:
            raise error

        app = clew.instrument(Starlette(routes=[Route("/", fail)]))

        with pytest.raises(Broken) as caught:
            asyncio.run(get(app))

        assert caught.value is error
        span = exported_span(exported)
        assert span.status.code == Status.STATUS_CODE_ERROR
        assert span.status.message == "Broken: no stock"
        assert attributes_of(span.attributes)["error.type"].endswith("Broken")
        (recorded,) = span.events
        attributes = attributes_of(recorded.attributes)
        assert recorded.name == "exception"
        assert attributes["exception.type"].endswith("Broken")
        assert attributes["exception.message"] == "no stock"
        assert "raise error" in attributes["exception.stacktrace"]

    @pytest.mark.parametrize("make", [Starlette, FastAPI])
    def test_a_500_carries_the_id(self, exported: FakeCollector, make: Callable[[], Starlette]) -> None:
        app = make()

        async def fail(request: Request) -> Response:
            raise Broken

        app.add_route("/", fail)
        app.add_middleware(BaseHTTPMiddleware, dispatch=lambda request, call_next: call_next(request))

        response = asyncio.run(get(clew.instrument(app), headers={"X-Request-ID": "r-500"}, raises=False))

        assert response.status_code == 500
        assert response.headers.get_list("x-request-id") == ["r-500"]

    def test_a_raw_app_that_fails_before_it_answers_gets_a_500_with_the_id(self, exported: FakeCollector) -> None:
        error = Broken()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            raise error

        response = asyncio.run(get(clew.ClewMiddleware(app), headers={"X-Request-ID": "r"}, raises=False))

        assert (response.status_code, response.text) == (500, "Internal Server Error")
        assert response.headers["x-request-id"] == "r"
        with pytest.raises(Broken) as caught:
            asyncio.run(get(clew.ClewMiddleware(app)))
        assert caught.value is error

    def test_a_failure_after_the_answer_began_is_recorded_and_nothing_is_sent(self, exported: FakeCollector) -> None:
        sent: list[Any] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            raise Broken

        async def send(message: Any) -> None:
            sent.append(message["type"])

        with pytest.raises(Broken):
            asyncio.run(clew.ClewMiddleware(app)(http_scope(), never, send))

        assert sent == ["http.response.start"]
        assert exported_span(exported).status.code == Status.STATUS_CODE_ERROR

    def test_a_caller_that_is_gone_does_not_hide_the_failure(self, exported: FakeCollector) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            raise Broken

        async def send(message: Any) -> None:
            raise OSError("connection lost")

        with pytest.raises(Broken):
            asyncio.run(clew.ClewMiddleware(app)(http_scope(), never, send))

    def test_the_servers_own_line_about_it_has_the_ids(self, exported: FakeCollector) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            raise Broken

        try:
            asyncio.run(get(clew.ClewMiddleware(app), headers={"X-Request-ID": "r-9"}))
        except Broken:
            logging.getLogger("uvicorn.error").exception("Exception in ASGI application")

        span = exported_span(exported)
        (log,) = exported.logs
        assert log.trace_id == span.trace_id
        assert attributes_of(log.attributes)["correlation.id"] == "r-9"

    def test_a_cancelled_request_ends_its_span_without_an_error(self, exported: FakeCollector) -> None:
        async def scenario() -> None:
            started = asyncio.Event()

            async def app(scope: Scope, receive: Receive, send: Send) -> None:
                started.set()
                await asyncio.Event().wait()

            task = asyncio.create_task(clew.ClewMiddleware(app)(http_scope(), never, ignore))
            await started.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(scenario())

        span = exported_span(exported)
        assert span.status.code == Status.STATUS_CODE_UNSET
        assert len(span.events) == 0

    def test_a_stream_closed_from_elsewhere_is_not_noise(
        self, exported: FakeCollector, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def numbers() -> AsyncIterator[str]:
            with clew.get_tracer("shop").start_as_current_span("stream"):
                yield "1"
                yield "2"

        async def scenario() -> None:
            stream = numbers()
            await asyncio.create_task(anext_of(stream))
            await asyncio.create_task(close(stream))
            gc.collect()

        asyncio.run(scenario())

        assert "detach" not in caplog.text

    def test_streaming_keeps_the_context(self, exported: FakeCollector) -> None:
        async def parts() -> AsyncIterator[str]:
            yield str(clew.correlation_id())

        app = Starlette(routes=[Route("/", lambda request: StreamingResponse(parts()))])

        response = asyncio.run(get(clew.instrument(app), headers={"X-Request-ID": "r"}))

        assert response.text == "r"


class TestInstrument:
    def test_it_is_outside_of_middleware_that_is_added_later(self, exported: FakeCollector) -> None:
        app = clew.instrument(FastAPI())

        async def refuse(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
            return JSONResponse({"correlation_id": clew.correlation_id()}, status_code=403)

        app.add_middleware(BaseHTTPMiddleware, dispatch=refuse)

        response = asyncio.run(get(app, headers={"X-Request-ID": "r"}))

        assert response.json() == {"correlation_id": "r"}
        assert response.headers["x-request-id"] == "r"

    def test_twice_is_the_same_as_once(self, exported: FakeCollector) -> None:
        app = ids_app()

        assert clew.instrument(app) is app
        asyncio.run(get(app))

        exported_span(exported)

    def test_an_app_that_serves_already_is_instrumented_too(self, exported: FakeCollector) -> None:
        app = Starlette(routes=[Route("/", lambda request: Response())])
        asyncio.run(get(app))

        clew.instrument(app)
        response = asyncio.run(get(app))

        assert "x-request-id" in response.headers

    def test_what_is_no_app_is_refused(self) -> None:
        with pytest.raises(TypeError, match="wrap others"):
            clew.instrument(object())

    def test_without_configure_ids_are_made_and_nothing_is_exported(self) -> None:
        response = asyncio.run(get(ids_app(), headers={"traceparent": TRACEPARENT}))

        assert response.json() == {"correlation_id": response.headers["x-request-id"], "trace_id": TRACE}

    def test_switched_off_requests_pass_untouched(self, collector: FakeCollector) -> None:
        clew.configure(service="orders", endpoint=collector.url, enabled=False)

        response = asyncio.run(get(ids_app(), headers={"X-Request-ID": "r"}))

        assert "x-request-id" not in response.headers
        assert response.json() == {"correlation_id": None, "trace_id": None}
        assert not trace.get_current_span().is_recording()


def test_a_websocket_is_one_span_with_the_id_in_its_handshake(exported: FakeCollector) -> None:
    app = FastAPI()

    @app.websocket("/ws/{room}")
    async def chat(socket: WebSocket, room: str) -> None:
        await socket.accept()
        await socket.send_json(clew.correlation_id())
        await socket.close()

    client = TestClient(clew.instrument(app))
    with client.websocket_connect("/ws/7", headers={"X-Request-ID": "r-ws"}) as socket:
        said = socket.receive_json()

    assert said == "r-ws"
    span = exported_span(exported)
    assert span.name == "GET /ws/{room}"
    assert attributes_of(span.attributes)["http.response.status_code"] == 101


def http_scope() -> dict[str, Any]:
    return {"type": "http", "method": "GET", "path": "/", "scheme": "http", "headers": [], "query_string": b""}


async def never() -> Any:
    await asyncio.Event().wait()


async def ignore(message: Any) -> None:
    pass


async def anext_of(stream: AsyncIterator[str]) -> str:
    return await anext(stream)


async def close(stream: Any) -> None:
    await stream.aclose()
