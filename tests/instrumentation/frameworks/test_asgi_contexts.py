"""Where a request's work goes on outside of its route's function: the context goes along."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Annotated, Any

import falcon.asgi
import litestar
import litestar.background_tasks
import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, Request
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Response as LitestarResponse
from quart import Quart
from quart import Response as QuartResponse
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, Router

import clew
from tests.instrumentation.fake_collector import FakeCollector, attributes_of
from tests.instrumentation.frameworks.asking import ask_asgi, server_span
from tests.instrumentation.frameworks.shops import litestar_shop, parts, quart_shop, starlette_shop, work

HEADERS = {"X-Request-ID": "r"}


def assert_all_of_one_request(collector: FakeCollector, *expected: str) -> None:
    """Each of these lines, and each span, belongs to the one request that was served."""
    server = server_span(collector)
    lines = [log for log in collector.logs if log.body.string_value in expected]
    assert sorted(log.body.string_value for log in lines) == sorted(expected)
    assert {log.trace_id for log in lines} == {server.trace_id}
    assert {attributes_of(log.attributes)["correlation.id"] for log in lines} == {"r"}
    children = [span for span in collector.spans if span is not server and span.name in expected]
    assert all(child.parent_span_id == server.span_id for child in children)


class TestFastApi:
    def test_dependencies_with_yield(self, exported: FakeCollector) -> None:
        def session() -> Iterator[str]:
            yield work("open session")
            work("close session")

        async def transaction(opened: Annotated[str, Depends(session)]) -> AsyncIterator[str]:
            yield work("begin")
            work("commit")

        app = FastAPI()

        @app.get("/")
        def view(begun: Annotated[str, Depends(transaction)]) -> str:
            return work("view")

        ask_asgi(clew.instrument(app), "/", HEADERS)

        assert_all_of_one_request(exported, "open session", "begin", "view", "commit", "close session")

    def test_background_tasks_sync_and_async(self, exported: FakeCollector) -> None:
        async def later() -> None:
            await asyncio.sleep(0)
            work("async task")

        app = FastAPI()

        @app.get("/")
        async def view(tasks: BackgroundTasks) -> None:
            tasks.add_task(later)
            tasks.add_task(work, "sync task")

        ask_asgi(clew.instrument(app), "/", HEADERS)

        assert_all_of_one_request(exported, "async task", "sync task")

    def test_middleware_and_handlers_of_exceptions(self, exported: FakeCollector) -> None:
        app = FastAPI()

        async def around(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
            work("middleware")
            return await call_next(request)

        def handle(request: Request, error: Exception) -> Response:
            return PlainTextResponse(work("handler"), status_code=418)

        app.add_middleware(BaseHTTPMiddleware, dispatch=around)
        app.add_exception_handler(KeyError, handle)

        @app.get("/")
        def view() -> str:
            raise KeyError("tea")

        assert ask_asgi(clew.instrument(app), "/", HEADERS).status == 418
        assert_all_of_one_request(exported, "middleware", "handler")

    def test_streams_of_all_kinds(self, exported: FakeCollector) -> None:
        async def stream() -> AsyncIterator[str]:
            yield work("async part")

        app = FastAPI()
        app.get("/")(lambda: StreamingResponse(stream(), background=BackgroundTask(work, "after")))

        ask_asgi(clew.instrument(app), "/", HEADERS)

        assert_all_of_one_request(exported, "async part", "after")

    def test_tasks_that_a_view_starts(self, exported: FakeCollector) -> None:
        app = FastAPI()

        @app.get("/")
        async def view() -> None:
            await asyncio.gather(
                asyncio.to_thread(work, "thread"), asyncio.create_task(asyncio.to_thread(work, "task"))
            )

        ask_asgi(clew.instrument(app), "/", HEADERS)

        assert_all_of_one_request(exported, "thread", "task")


class TestStarlette:
    @pytest.mark.parametrize(("code", "events"), [(404, 0), (503, 1)])
    def test_an_http_exception_with_a_handler_of_its_own(self, exported: FakeCollector, code: int, events: int) -> None:
        async def view(request: Any) -> Response:
            raise HTTPException(code)

        async def handle(request: Any, error: Exception) -> Response:
            return PlainTextResponse(work("handler"), status_code=code)

        app = Starlette(routes=[Route("/", view)], exception_handlers={code: handle})

        assert ask_asgi(clew.instrument(app), "/", HEADERS).status == code
        assert len(server_span(exported).events) == events
        assert_all_of_one_request(exported, "handler")

    def test_a_handler_of_everything_still_shows_the_exception(self, exported: FakeCollector) -> None:
        async def view(request: Any) -> Response:
            raise KeyError

        handlers = {Exception: lambda request, error: PlainTextResponse("sorry", status_code=500)}
        app = Starlette(routes=[Route("/", view)], exception_handlers=handlers)

        answer = ask_asgi(clew.instrument(app), "/", HEADERS)

        assert (answer.body, answer.request_ids) == (b"sorry", ["r"])
        assert len(server_span(exported).events) == 1

    @pytest.mark.parametrize("make", [litestar_shop, quart_shop, starlette_shop])
    def test_mounted_apps_are_part_of_the_route(self, exported: FakeCollector, make: Callable[[], Any]) -> None:
        app = Starlette(routes=[Mount("/shop", app=clew.instrument(make()))])

        answer = ask_asgi(clew.instrument(app), "/shop/orders/17", HEADERS)

        assert (answer.status, answer.request_ids) == (200, ["r"])
        assert server_span(exported).name.startswith("GET /shop/orders/")
        assert server_span(exported).name[-1] in "}>"

    def test_routers_in_mounts_stay_in_the_request(self, exported: FakeCollector) -> None:
        router = Router([Route("/parts", lambda request: StreamingResponse(parts()))])
        app = Starlette(routes=[Mount("/v1", app=router)])

        ask_asgi(clew.instrument(app), "/v1/parts", HEADERS)

        assert server_span(exported).name == "GET /v1/parts"
        assert_all_of_one_request(exported, "part 0", "part 1")


class TestLitestar:
    def test_background_tasks_hooks_and_dependencies(self, exported: FakeCollector) -> None:
        async def dependency() -> AsyncIterator[str]:
            yield work("open")
            work("close")

        async def before(request: Any) -> None:
            work("before")

        async def task() -> None:
            work("task")

        @litestar.get("/{id:int}", before_request=before, dependencies={"opened": dependency})
        async def view(id: FromPath[int], opened: NamedDependency[str]) -> LitestarResponse[str]:
            return LitestarResponse("", background=litestar.background_tasks.BackgroundTask(task))

        ask_asgi(clew.instrument(litestar.Litestar([view])), "/3", HEADERS)

        assert server_span(exported).name == "GET /{id}"
        assert_all_of_one_request(exported, "before", "open", "close", "task")

    def test_a_mounted_app_has_the_mounts_path_as_its_route(self, exported: FakeCollector) -> None:
        @litestar.asgi("/legacy", is_mount=True, copy_scope=False)
        async def legacy(scope: Any, receive: Any, send: Any) -> None:
            await PlainTextResponse(work("legacy"))(scope, receive, send)

        ask_asgi(clew.instrument(litestar.Litestar([legacy])), "/legacy/items/3", HEADERS)

        span = server_span(exported)
        assert span.name == "GET /legacy"
        assert attributes_of(span.attributes)["url.path"] == "/legacy/items/3"
        assert_all_of_one_request(exported, "legacy")

    def test_what_was_queued_is_sent_before_shutdown_is_complete(self, exported: FakeCollector) -> None:
        async def last_words() -> None:
            clew.get_tracer("shop").start_span("last words").end()

        app = clew.instrument(litestar.Litestar([], on_shutdown=[last_words]))

        async def scenario() -> None:
            async with app.lifespan():
                pass

        asyncio.run(scenario())

        assert [span.name for span in exported.spans] == ["last words"]


class TestQuart:
    def test_background_tasks_streams_and_hooks(self, exported: FakeCollector) -> None:
        app = Quart("shop")

        @app.before_request
        async def before() -> None:
            work("before")

        async def task() -> None:
            work("task")

        async def stream() -> AsyncIterator[bytes]:
            yield work("part").encode()

        @app.get("/")
        async def view() -> QuartResponse:
            app.add_background_task(task)
            app.add_background_task(work, "sync task")
            return QuartResponse(stream())

        ask_asgi(clew.instrument(app), "/", HEADERS)
        exported.wait_for(lambda: "sync task" in [log.body.string_value for log in exported.logs])

        assert_all_of_one_request(exported, "before", "task", "sync task", "part")

    def test_the_500_is_logged_with_the_ids(self, exported: FakeCollector) -> None:
        ask_asgi(clew.instrument(quart_shop()), "/fail/broken", HEADERS)

        assert_all_of_one_request(exported, "Exception on request GET /fail/broken")

    def test_debug_mode_shows_its_page_and_records_once(self, exported: FakeCollector) -> None:
        app = clew.instrument(quart_shop())
        app.testing = True

        answer = ask_asgi(app, "/fail/broken", HEADERS)

        assert (answer.status, answer.request_ids) == (500, ["r"])
        assert len(server_span(exported).events) == 1


class TestFalcon:
    def test_middleware_hooks_and_scheduled_calls(self, exported: FakeCollector) -> None:
        class Middleware:
            async def process_request(self, req: Any, resp: Any) -> None:
                work("middleware")

        async def later() -> None:
            work("scheduled")

        class Resource:
            async def on_get(self, req: Any, resp: Any) -> None:
                resp.schedule(later)

        app = clew.instrument(falcon.asgi.App())
        app.add_middleware(Middleware())
        app.add_route("/", Resource())

        async def last() -> None:
            # Whoever was scheduled runs before this returns.
            await asyncio.sleep(0)

        ask_asgi(app, "/", HEADERS)
        asyncio.run(last())

        assert_all_of_one_request(exported, "middleware", "scheduled")

    def test_an_instrumented_app_is_what_it_was(self) -> None:
        class Own(falcon.asgi.App[Any, Any]):
            pass

        for make in (falcon.asgi.App, Own):
            app = make()
            assert clew.instrument(app) is app
            assert isinstance(app, make)
            assert type(app).__name__ == make.__name__
            assert clew.instrument(app) is app
            assert "_clew" not in repr(vars(make))

    def test_sinks_belong_to_the_request_and_have_no_route(self, exported: FakeCollector) -> None:
        async def sink(req: Any, resp: Any, **params: Any) -> None:
            work("sink")

        app = falcon.asgi.App()
        app.add_sink(sink, "/any")

        ask_asgi(clew.instrument(app), "/any/where", HEADERS)

        assert server_span(exported).name == "GET"
        assert_all_of_one_request(exported, "sink")
