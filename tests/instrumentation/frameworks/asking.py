"""Asking an application in this process, ASGI or WSGI, as a server would."""

import asyncio
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any
from urllib.parse import unquote_to_bytes
from wsgiref.validate import validator

import httpx
from opentelemetry.proto.trace.v1.trace_pb2 import Span

import clew
from tests.instrumentation.fake_collector import FakeCollector
from tests.instrumentation.frameworks.asgi_apps import get as get_asgi


@dataclass
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes
    error: BaseException | None = None
    """What the application raised; the server has seen it."""

    @property
    def request_ids(self) -> list[str]:
        return [value for name, value in self.headers if name.lower() == "x-request-id"]


Ask = Callable[..., Answer]


def environ_of(path: str = "/", headers: Mapping[str, str] | None = None, **more: Any) -> dict[str, Any]:
    path, _, query = path.partition("?")
    environ = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "SERVER_NAME": "shop.example",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "shop.example:8000",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    environ |= {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in (headers or {}).items()}
    return environ | more


@dataclass
class WsgiServer:
    """A server's side of one request: takes what PEP 3333 allows, as strictly as it says."""

    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    chunks: list[bytes] = field(default_factory=list)
    starts: int = 0

    def start_response(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        self.starts += 1
        if exc_info is not None and self.chunks:
            raise exc_info[1].with_traceback(exc_info[2])
        assert exc_info is not None or not self.status, "started twice"
        self.status, self.headers = int(status[:3]), headers
        return self.chunks.append

    def take(self, body: Iterable[bytes]) -> None:
        try:
            self.chunks += body
        finally:
            if hasattr(body, "close"):
                body.close()

    def answer(self, error: BaseException | None = None) -> Answer:
        return Answer(self.status, self.headers, b"".join(self.chunks), error)


def ask_wsgi(app: Any, path: str = "/", headers: Mapping[str, str] | None = None, **environ: Any) -> Answer:
    server = WsgiServer()
    try:
        server.take(app(environ_of(path, headers, **environ), server.start_response))
    except Exception as error:  # noqa: BLE001  (as a server does)
        return server.answer(error)
    return server.answer()


def ask_validated(app: Any, path: str = "/", headers: Mapping[str, str] | None = None) -> Answer:
    """The same, by the standard library's validator of both sides."""
    return ask_wsgi(validator(app), path, headers)


def ask_asgi(app: Any, path: str = "/", headers: Mapping[str, str] | None = None) -> Answer:
    response: httpx.Response = asyncio.run(get_asgi(app, path, headers=dict(headers or {}), raises=False))
    return Answer(response.status_code, response.headers.multi_items(), response.content)


def server_span(collector: FakeCollector) -> Span:
    """The one request that was served."""
    assert clew.flush()
    (span,) = [span for span in collector.spans if span.kind == Span.SPAN_KIND_SERVER]
    return span
