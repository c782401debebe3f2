"""A Zipkin span around each request of an ASGI app."""

import time
from random import Random

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clew_demo.pricing import b3
from clew_demo.pricing.reporter import Reporter, Span


class ZipkinMiddleware:
    """Continues the caller's trace by its B3 headers and reports a SERVER span in Zipkin's v2 format."""

    def __init__(self, app: ASGIApp, *, service: str, reporter: Reporter, random: Random) -> None:
        self._app = app
        self._service = service
        self._reporter = reporter
        self._random = random

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. Echoes `X-Request-ID`."""
        if scope["type"] != "http" or scope["path"] == "/healthz":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        ids = b3.continued(headers, random=self._random)
        start_ns, started_ns, status = time.time_ns(), time.monotonic_ns(), 500

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if request_id := headers.get("x-request-id"):
                    message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode("latin-1"))]
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        finally:
            if ids.is_sampled:
                duration_us = (time.monotonic_ns() - started_ns) // 1000
                span = self._span(ids, scope, headers.get("x-request-id"), status)
                self._reporter.report(span | {"timestamp": start_ns // 1000, "duration": max(duration_us, 1)})

    def _span(self, ids: b3.SpanIds, scope: Scope, request_id: str | None, status: int) -> Span:
        route = getattr(scope.get("route"), "path", None)
        tags = {"http.method": scope["method"], "http.path": scope["path"], "http.status_code": str(status)}
        if route is not None:
            tags["http.route"] = route
        if request_id is not None:
            tags["x-request-id"] = request_id
        if status >= 500:
            tags["error"] = str(status)
        host, port = scope["server"]
        span = {
            "traceId": ids.trace_id,
            "id": ids.span_id,
            "kind": "SERVER",
            "name": f"{scope['method']} {route or ''}".strip().lower(),
            "localEndpoint": {"serviceName": self._service, "ipv4": host, "port": port},
            "tags": tags,
        }
        return span if ids.parent_id is None else span | {"parentId": ids.parent_id}
