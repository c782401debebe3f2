from collections.abc import Callable
from typing import Any

import falcon.asgi
import litestar
import pytest
from fastapi import FastAPI, WebSocket
from litestar.params import FromPath
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from quart import Quart
from quart import websocket as quart_socket

import clew
from tests.instrumentation.fake_collector import FakeCollector, attributes_of
from tests.instrumentation.frameworks.asgi_apps import TRACE, TRACEPARENT
from tests.instrumentation.frameworks.asking import server_span
from tests.instrumentation.frameworks.shops import Broken, work
from tests.instrumentation.frameworks.websockets import accepted_with, said, talk


def answer(text: str | bytes) -> str:
    text = str(text)
    if text == "break":
        raise Broken("broken")
    return f"{work(text)} {clew.correlation_id()}"


def fastapi_chat() -> Any:
    app = FastAPI()

    @app.websocket("/chat/{room}")
    async def chat(socket: WebSocket, room: str) -> None:
        await socket.accept()
        await socket.send_text(answer(await socket.receive_text()))

    return app


def litestar_chat() -> Any:
    @litestar.websocket("/chat/{room:str}")
    async def chat(socket: litestar.WebSocket[Any, Any, Any], room: FromPath[str]) -> None:
        await socket.accept()
        await socket.send_text(answer(await socket.receive_text()))

    return litestar.Litestar([chat])


def quart_chat() -> Any:
    app = Quart("chat")

    @app.websocket("/chat/<room>")
    async def chat(room: str) -> None:
        await quart_socket.send(answer(await quart_socket.receive()))

    return app


def falcon_chat() -> Any:
    class Chat:
        async def on_websocket(self, req: Any, socket: Any, room: str) -> None:
            await socket.accept()
            await socket.send_text(answer(await socket.receive_text()))

    app = falcon.asgi.App()
    app.add_route("/chat/{room}", Chat())
    return app


pytestmark = pytest.mark.parametrize(
    ("make", "route"),
    [
        (fastapi_chat, "/chat/{room}"),
        (litestar_chat, "/chat/{room}"),
        (quart_chat, "/chat/<room>"),
        (falcon_chat, "/chat/{room}"),
    ],
    ids=["fastapi", "litestar", "quart", "falcon"],
)


def test_a_websocket_is_one_span_with_the_id_in_its_handshake(
    exported: FakeCollector, make: Callable[[], Any], route: str
) -> None:
    messages = talk(clew.instrument(make()), "/chat/7", {"X-Request-ID": "r", "traceparent": TRACEPARENT}, "hello")

    assert said(messages) == ["hello r"]
    assert accepted_with(messages)[b"x-request-id"] == b"r"
    span = server_span(exported)
    assert span.name == f"GET {route}"
    assert span.trace_id.hex() == TRACE
    assert attributes_of(span.attributes)["http.response.status_code"] == 101
    (child,) = [child for child in exported.spans if child.name == "hello"]
    assert child.parent_span_id == span.span_id


def test_a_handler_that_fails_is_on_the_span(exported: FakeCollector, make: Callable[[], Any], route: str) -> None:
    app: Any = clew.instrument(make())

    try:
        talk(app, "/chat/7", {}, "break")
    except Broken:
        assert make is fastapi_chat or make is quart_chat

    span = server_span(exported)
    assert span.status.code == Status.STATUS_CODE_ERROR
    (event,) = span.events
    assert attributes_of(event.attributes)["exception.message"] == "broken"


def test_a_room_that_is_not_there_is_no_failure(exported: FakeCollector, make: Callable[[], Any], route: str) -> None:
    talk(clew.instrument(make()), "/nowhere", {})

    span = server_span(exported)
    assert span.status.code == Status.STATUS_CODE_UNSET
    assert "http.route" not in attributes_of(span.attributes)


def test_switched_off_it_talks_the_same(collector: FakeCollector, make: Callable[[], Any], route: str) -> None:
    clew.configure(service="orders", endpoint=collector.url, enabled=False)

    assert said(talk(clew.instrument(make()), "/chat/7", {"X-Request-ID": "r"}, "hello")) == ["hello None"]
