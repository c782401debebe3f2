"""The ASGI middleware: IDs in, span and context around, IDs out.

Must be the outermost layer: inside of Starlette's ServerErrorMiddleware, a 500 would go out without its ID. A request
pays for every statement here; what can be done later is done in `http_server`, on the export thread.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from time import time_ns
from typing import Any, Final

from clew.context import CURRENT, restore, stamp
from clew.failures import type_name
from clew.frameworks.http_server import KNOWN_METHODS, describe_request, route_template
from clew.frameworks.lifespan import serve_lifespan
from clew.incoming import SERVER, begin, enter, exclude, is_excluded
from clew.runtime import RUNTIME
from clew.spans import STATUS_ERROR, LightSpan

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_MARK: Final = "clew.span"
_HOST: Final = b"host"
_USER_AGENT: Final = b"user-agent"

_INTERNAL_SERVER_ERROR: Final = b"Internal Server Error"


class ClewMiddleware:
    """Around any ASGI app. A request that another `ClewMiddleware` already follows passes through."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope, as ASGI says."""
        kind = scope["type"]
        if not RUNTIME.enabled or _MARK in scope:
            await self.app(scope, receive, send)
        elif kind in ("http", "websocket"):
            await self._serve(scope, receive, send)
        elif kind == "lifespan":
            await serve_lifespan(self.app, scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        policy = RUNTIME.headers
        headers = policy.pick(scope.get("headers") or ())
        outer = CURRENT.get()
        method = scope.get("method", "GET")
        span = begin(method if method in KNOWN_METHODS else "HTTP", SERVER, headers, outer)
        correlation_id, context = enter(span, headers, outer)
        if RUNTIME.excluded is not None and is_excluded(scope["path"]):
            exclude(span)
        scope[_MARK] = span
        # FastAPI >= 0.165 makes spans of its own once there is a tracer provider; this key stops it.
        scope["fastapi.telemetry"] = None
        exchange = _Exchange(send, policy.request_id, correlation_id.encode())
        error_type: str | None = None
        token = CURRENT.set(context)
        try:
            await self.app(scope, receive, exchange.send)
        except Exception as error:
            error_type = type_name(type(error))
            span.fail(error)
            stamp(error, span)
            await exchange.answer_failure(scope)
            raise
        finally:
            _end(span, scope, headers, exchange, error_type)
            restore(token)


class _Exchange:
    """One request's way back: gives the response its ID and sees how it ends."""

    __slots__ = ("_header", "_request_id", "_send", "ended_ns", "status_code")

    def __init__(self, send: Send, header: bytes, request_id: bytes) -> None:
        self._send = send
        self._header = header
        self._request_id = request_id
        self.status_code = 0
        self.ended_ns: int | None = None

    async def send(self, message: Message) -> None:
        """Pass a message on, the response's first one with the request ID, exactly once."""
        kind = message["type"]
        if kind == "http.response.body":
            await self._send(message)
            if not message.get("more_body"):
                # Background tasks still run inside of the app; the caller does not wait for them.
                self.ended_ns = time_ns()
            return
        if kind == "http.response.start":
            self.status_code = message["status"]
            message = self._with_request_id(message)
        elif kind == "websocket.accept":
            self.status_code = 101
            message = self._with_request_id(message)
        elif kind == "websocket.http.response.start":
            self.status_code = message["status"]
            message = self._with_request_id(message)
        elif kind == "websocket.close" and not self.status_code:
            self.status_code = 403
        await self._send(message)

    async def answer_failure(self, scope: Scope) -> None:
        """A plain 500 for an app that failed before it answered, as Starlette's own apps send one."""
        if self.status_code or scope["type"] != "http":
            return
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(_INTERNAL_SERVER_ERROR)).encode()),
        ]
        try:
            await self.send({"type": "http.response.start", "status": 500, "headers": headers})
            await self.send({"type": "http.response.body", "body": _INTERNAL_SERVER_ERROR})
        except Exception:  # noqa: BLE001  (the caller is gone; what counts is the failure that brought us here)
            return

    def _with_request_id(self, message: Message) -> Message:
        # A new list: the response's own may be one that the service sends again.
        header = self._header
        headers = [pair for pair in message.get("headers") or () if pair[0].lower() != header]
        headers.append((header, self._request_id))
        return {**message, "headers": headers}


def _end(
    span: LightSpan, scope: Scope, headers: dict[bytes, bytes], exchange: _Exchange, error_type: str | None
) -> None:
    method = scope.get("method", "GET")
    status_code = exchange.status_code
    route = route_template(scope)
    # Whoever renamed the span while it ran knows better.
    if route is not None and span.name is method:
        span.name = f"{method} {route}"
    if status_code >= 500 and not span.status:
        span.status = STATUS_ERROR
    # `http_server.Details`, which the export thread makes attributes of.
    span.details = (
        (
            method,
            scope.get("scheme", "http"),
            scope.get("http_version", "1.1"),
            headers.get(_HOST),
            headers.get(_USER_AGENT),
            route,
            status_code,
            error_type,
        ),
        scope["path"],
        scope.get("query_string", b""),
        scope.get("client"),
    )
    span.describe = describe_request
    span.end(exchange.ended_ns)
