import asyncio
import logging

import pytest
from fastapi import APIRouter, FastAPI, WebSocket
from opentelemetry import baggage
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

import clew
from tests.instrumentation.fake_collector import FakeCollector, attributes_of
from tests.instrumentation.frameworks.asgi_apps import (
    CALLER,
    TRACE,
    TRACEPARENT,
    exported_span,
    get,
    ids_app,
)


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
