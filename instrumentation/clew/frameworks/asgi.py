"""The ASGI middleware: IDs in, span and context around, IDs out.

Must be the outermost layer: inside of Starlette's ServerErrorMiddleware, a 500 would go out without its ID. A request
pays for every statement here; what can be done later is done in `http_server`, on the export thread.
"""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from time import time_ns
from typing import Any, Final

from opentelemetry.context.context import Context
from opentelemetry.trace import Span

from clew import fields
from clew.context import BAGGAGE_KEY, CORRELATION_KEY, CURRENT, SPAN_KEY, restore, stamp
from clew.failures import type_name
from clew.frameworks.http_server import KNOWN_METHODS, describe_request, route_template
from clew.frameworks.lifespan import serve_lifespan
from clew.ids import is_valid_correlation_id, new_correlation_id, new_trace_id
from clew.propagation import BAGGAGE, PARENT_HEADERS, TRACESTATE, parse_baggage, read_parent
from clew.runtime import RUNTIME
from clew.spans import STATUS_ERROR, LightSpan
from clew.tracing import OWN_SCOPE, ROOT_FLAGS, start_span

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_MARK: Final = "clew.span"
_REQUEST_ID: Final = fields.REQUEST_ID_HEADER.encode()
_CORRELATION_ID: Final = fields.CORRELATION_ID_HEADER.encode()
_HOST: Final = b"host"
_USER_AGENT: Final = b"user-agent"
_WANTED: Final = PARENT_HEADERS | {TRACESTATE, BAGGAGE, _REQUEST_ID, _CORRELATION_ID, _HOST, _USER_AGENT}
_LISTS: Final = frozenset({BAGGAGE, TRACESTATE})
_SERVER: Final = 2

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
        headers = _read_headers(scope.get("headers") or ())
        outer = CURRENT.get()
        span = _start_server_span(scope.get("method", "GET"), headers, outer)
        correlation_id, context = _enter(span, headers, outer)
        scope[_MARK] = span
        # FastAPI >= 0.165 makes spans of its own once there is a tracer provider; this key stops it.
        scope["fastapi.telemetry"] = None
        exchange = _Exchange(send, correlation_id.encode())
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

    __slots__ = ("_request_id", "_send", "ended_ns", "status_code")

    def __init__(self, send: Send, request_id: bytes) -> None:
        self._send = send
        self._request_id = request_id
        self.status_code = 0
        self.ended_ns: int | None = None

    async def send(self, message: Message) -> None:
        """Pass a message on, the response's first one with `X-Request-ID`, exactly once."""
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
        headers = [pair for pair in message.get("headers") or () if pair[0].lower() != _REQUEST_ID]
        headers.append((_REQUEST_ID, self._request_id))
        return {**message, "headers": headers}


def _read_headers(pairs: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """The headers that matter here. Sent twice: lists are joined, the first ID wins, two parents are none."""
    headers: dict[bytes, bytes] = {}
    for name, value in pairs:
        if name in _WANTED:
            if name not in headers:
                headers[name] = value
            elif name in _LISTS:
                headers[name] += b"," + value
            elif name in PARENT_HEADERS:
                headers[name] = b""
    return headers


def _start_server_span(method: str, headers: dict[bytes, bytes], outer: Context) -> LightSpan:
    name = method if method in KNOWN_METHODS else "HTTP"
    parent = read_parent(headers)
    if parent is not None:
        span = LightSpan(OWN_SCOPE, name, _SERVER, parent.trace_id or new_trace_id())
        span.parent_id = parent.span_id
        span.trace_flags = parent.trace_flags
        span.trace_state = parent.trace_state
        span.is_parent_remote = parent.span_id != 0
        return span
    local = outer.get(SPAN_KEY) if outer else None
    # An ended one has leaked: servers that were started inside of a span keep its context for every connection.
    if isinstance(local, Span) and getattr(local, "end_ns", None) is None:
        return start_span(OWN_SCOPE, name, _SERVER, outer)
    span = LightSpan(OWN_SCOPE, name, _SERVER, new_trace_id())
    span.trace_flags = ROOT_FLAGS
    return span


def _enter(span: LightSpan, headers: dict[bytes, bytes], outer: Context) -> tuple[str, Context]:
    """The request's correlation ID and its context."""
    sent = headers.get(BAGGAGE)
    baggage: dict[str, object] = {} if sent is None else {**parse_baggage(sent)}
    correlation_id = (
        _valid(headers.get(_REQUEST_ID))
        or _valid(headers.get(_CORRELATION_ID))
        or _valid_text(baggage.get(fields.CORRELATION_ID))
        or span.correlation_id
        or new_correlation_id()
    )
    span.correlation_id = baggage[fields.CORRELATION_ID] = correlation_id
    inner = {SPAN_KEY: span, CORRELATION_KEY: correlation_id, BAGGAGE_KEY: baggage}
    if not outer:
        return correlation_id, Context(inner)
    local = outer.get(BAGGAGE_KEY)
    if isinstance(local, dict):
        inner[BAGGAGE_KEY] = {**local, **baggage}
    return correlation_id, Context({**outer, **inner})


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


def _valid(header: bytes | None) -> str | None:
    return None if header is None else _valid_text(header.decode("latin-1").strip())


def _valid_text(text: object) -> str | None:
    return text if isinstance(text, str) and is_valid_correlation_id(text) else None
