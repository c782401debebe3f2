import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from fastapi import FastAPI
from opentelemetry import trace
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

import clew
from tests.instrumentation.fake_collector import FakeCollector, attributes_of
from tests.instrumentation.frameworks.asgi_apps import (
    TRACE,
    TRACEPARENT,
    anext_of,
    close,
    exported_span,
    get,
    http_scope,
    ids_app,
    ignore,
    never,
)


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
