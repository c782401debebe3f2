"""A collector that only remembers: what the shop's services send over OTLP, flattened."""

import gzip
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

ARRIVAL_TIMEOUT_S = 10


@dataclass(frozen=True)
class Seen:
    """A span or a log line of one service."""

    service: str
    name: str
    trace_id: str
    attributes: dict[str, Any]
    span_id: str
    parent_span_id: str = ""
    duration_s: float = 0.0

    @property
    def correlation_id(self) -> str:
        return str(self.attributes["correlation.id"])


class OtlpSink:
    """Listens on a free port of 127.0.0.1 inside its context."""

    def __init__(self) -> None:
        self.spans: list[Seen] = []
        self.logs: list[Seen] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "OtlpSink":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def spans_of(self, correlation_id: str) -> list[Seen]:
        """Spans of a request, once its first service has reported that it is through."""
        return self._wait(lambda: _of(correlation_id, self.spans), until=_has_root)

    def logs_of(self, correlation_id: str) -> list[Seen]:
        """Log lines of a request that is through."""
        self.spans_of(correlation_id)
        return self._wait(lambda: _of(correlation_id, self.logs), until=bool)

    def _wait(self, look: Callable[[], list[Seen]], *, until: Callable[[list[Seen]], bool]) -> list[Seen]:
        deadline_s = time.monotonic() + ARRIVAL_TIMEOUT_S
        before: list[Seen] = []
        # Each service sends on its own time: all is here once there is a root and nothing more has come for a while.
        while time.monotonic() < deadline_s:
            found = look()
            if until(found) and len(found) == len(before):
                return found
            before = found
            time.sleep(1.5)
        raise AssertionError(f"only {[seen.name for seen in before]} arrived")

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                sink._take(self.path, gzip.decompress(body) if self.headers["Content-Encoding"] else body)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None: ...

        return Handler

    def _take(self, path: str, body: bytes) -> None:
        if path == "/v1/traces":
            for group in ExportTraceServiceRequest.FromString(body).resource_spans:
                service = _attributes(group.resource.attributes)["service.name"]
                self.spans += [_span(service, span) for scope in group.scope_spans for span in scope.spans]
        if path == "/v1/logs":
            for logs in ExportLogsServiceRequest.FromString(body).resource_logs:
                service = _attributes(logs.resource.attributes)["service.name"]
                self.logs += [_log(service, log) for scope in logs.scope_logs for log in scope.log_records]


def _span(service: str, span: Any) -> Seen:
    return Seen(
        service=service,
        name=span.name,
        trace_id=span.trace_id.hex(),
        attributes=_attributes(span.attributes),
        span_id=span.span_id.hex(),
        parent_span_id=span.parent_span_id.hex(),
        duration_s=(span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
    )


def _log(service: str, log: Any) -> Seen:
    return Seen(
        service=service,
        name=log.body.string_value,
        trace_id=log.trace_id.hex(),
        attributes=_attributes(log.attributes),
        span_id=log.span_id.hex(),
    )


def _attributes(pairs: Iterable[Any]) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "string_value") for pair in pairs}


def _of(correlation_id: str, seen: Iterable[Seen]) -> list[Seen]:
    return [each for each in seen if each.attributes.get("correlation.id") == correlation_id]


def _has_root(spans: Iterable[Seen]) -> bool:
    return any(not span.parent_span_id for span in spans)
