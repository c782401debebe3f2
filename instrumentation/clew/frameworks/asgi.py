"""The ASGI middleware: IDs in, span and context around, IDs out.

Must be the outermost layer: inside of Starlette's ServerErrorMiddleware, a 500 would go out without its ID. A request
pays for every statement here; what can be done later is done in `http_server`, on the export thread.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from time import time_ns
from typing import Any, Final

from clew.context import CURRENT, restore
from clew.frameworks.http_server import INTERNAL_SERVER_ERROR, KNOWN_METHODS, SERVED, ServedRequest, route_template
from clew.frameworks.lifespan import serve_lifespan
from clew.incoming import SERVER, begin, enter, exclude, is_excluded
from clew.runtime import RUNTIME
from clew.spans import LightSpan

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_HOST: Final = b"host"
_USER_AGENT: Final = b"user-agent"


class ClewMiddleware:
    """Around any ASGI app. A request that another `ClewMiddleware` already follows passes through."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope, as ASGI says."""
        kind = scope["type"]
        if (kind != "http" and kind != "websocket") or not RUNTIME.enabled or SERVED in scope:
            await self._pass(scope, receive, send)
            return
        policy = RUNTIME.headers
        headers = policy.pick(scope.get("headers") or ())
        outer = CURRENT.get()
        # As they came: routers write the rest of a path, or another one, into the scope.
        method, path = scope.get("method", "GET"), scope.get("path", "")
        span = begin(method if method in KNOWN_METHODS else "HTTP", SERVER, headers, outer)
        correlation_id, context = enter(span, headers, outer)
        if RUNTIME.excluded is not None and is_excluded(path):
            exclude(span)
        # FastAPI >= 0.165 makes spans of its own once there is a tracer provider; this key stops it.
        scope["fastapi.telemetry"] = None
        scope[SERVED] = served = _Exchange(span, send, policy.request_id, correlation_id.encode())
        token = CURRENT.set(context)
        try:
            await self.app(scope, receive, served.send)
        except Exception as error:
            served.fail(error)
            await served.answer_failure(scope)
            raise
        finally:
            if served.route is None:
                served.route = route_template(scope)
            get = scope.get
            exchange = (
                method,
                get("scheme", "http"),
                get("http_version", "1.1"),
                headers.get(_HOST),
                headers.get(_USER_AGENT),
            )
            served.end(exchange, path, get("query_string", b""), get("client"), served.ended_ns)
            # The server's `send` knows the scope: with the scope knowing `send`, both would wait for the collector of
            # garbage.
            scope.pop(SERVED, None)
            restore(token)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" and RUNTIME.enabled and SERVED not in scope:
            await serve_lifespan(self.app, scope, receive, send)
        else:
            await self.app(scope, receive, send)


class _Exchange(ServedRequest):
    """One request's way back: gives the response its ID and sees how it ends."""

    ended_ns: int | None = None

    def __init__(self, span: LightSpan, send: Send, header: bytes, request_id: bytes) -> None:
        self.span = span
        self._send = send
        self._header = header
        self._request_id = request_id

    def send(self, message: Message) -> Awaitable[None]:
        """Pass a message on, the response's first one with the request ID, exactly once."""
        # No coroutine of its own where the server's is enough: a response has two messages, or more.
        kind = message["type"]
        if kind == "http.response.body":
            return self._send(message) if message.get("more_body") else self._send_last(message)
        if kind == "http.response.start" or kind == "websocket.http.response.start":
            self.status_code = status_code = message["status"]
            if status_code >= 500 and self.error is not None:
                self.fail(self.error)
            message = self._with_request_id(message)
        elif kind == "websocket.accept":
            self.status_code = 101
            message = self._with_request_id(message)
        elif kind == "websocket.close" and not self.status_code:
            self.status_code = 403
        return self._send(message)

    async def _send_last(self, message: Message) -> None:
        await self._send(message)
        # Background tasks still run inside of the app; the caller does not wait for them.
        self.ended_ns = time_ns()

    async def answer_failure(self, scope: Scope) -> None:
        """A plain 500 for an app that failed before it answered, as Starlette's own apps send one."""
        if self.status_code or scope["type"] != "http":
            return
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(INTERNAL_SERVER_ERROR)).encode()),
        ]
        try:
            await self.send({"type": "http.response.start", "status": 500, "headers": headers})
            await self.send({"type": "http.response.body", "body": INTERNAL_SERVER_ERROR})
        except Exception:  # noqa: BLE001  (the caller is gone; what counts is the failure that brought us here)
            return

    def _with_request_id(self, message: Message) -> Message:
        # A new list: the response's own may be one that the service sends again.
        header = self._header
        size = len(header)
        headers = [pair for pair in message.get("headers") or () if len(pair[0]) != size or pair[0].lower() != header]
        headers.append((header, self._request_id))
        return {**message, "headers": headers}
