"""A real HTTP server that takes OTLP, decodes it with the official classes and keeps it."""

import gzip
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

DEADLINE_S = 10.0


@dataclass
class Reply:
    """What the collector answers; None hangs until the collector stops."""

    status: int | None = 200
    headers: tuple[tuple[str, str], ...] = ()


class FakeCollector:
    """What came in, and what is answered: `replies` first, one each, then 200."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.arrived = threading.Condition()
        self.connections = 0
        self.stopping = threading.Event()
        self.url = ""

    def take(self, path: str, headers: dict[str, str], body: bytes) -> Reply:
        with self.arrived:
            reply = self.replies.pop(0) if self.replies else Reply()
            if reply.status == 200:
                self.requests.append((path, headers, body))
            self.arrived.notify_all()
        return reply

    @property
    def trace_requests(self) -> list[ExportTraceServiceRequest]:
        return [ExportTraceServiceRequest.FromString(b) for p, _, b in list(self.requests) if p.endswith("/v1/traces")]

    @property
    def log_requests(self) -> list[ExportLogsServiceRequest]:
        return [ExportLogsServiceRequest.FromString(b) for p, _, b in list(self.requests) if p.endswith("/v1/logs")]

    @property
    def spans(self) -> list[Span]:
        return [s for r in self.trace_requests for rs in r.resource_spans for ss in rs.scope_spans for s in ss.spans]

    @property
    def logs(self) -> list[LogRecord]:
        return [
            log for r in self.log_requests for rl in r.resource_logs for sl in rl.scope_logs for log in sl.log_records
        ]

    @property
    def log_scopes(self) -> dict[str, list[str]]:
        """Bodies by the name of their scope."""
        found: dict[str, list[str]] = {}
        for request in self.log_requests:
            for resource_logs in request.resource_logs:
                for scope_logs in resource_logs.scope_logs:
                    bodies = [log.body.string_value for log in scope_logs.log_records]
                    found.setdefault(scope_logs.scope.name, []).extend(bodies)
        return found

    def wait_for(self, condition: Callable[[], Any]) -> Any:
        """The first true answer; fails after a deadline."""
        end_s = time.monotonic() + DEADLINE_S
        with self.arrived:
            while not (found := condition()):
                left_s = end_s - time.monotonic()
                assert left_s > 0, "the collector did not get what the test waits for"
                self.arrived.wait(min(left_s, 0.05))
        return found


@contextmanager
def running_collector() -> Iterator[FakeCollector]:
    collector = FakeCollector()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            collector.connections += 1
            super().setup()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            reply = collector.take(self.path, dict(self.headers.items()), body)
            if reply.status is None:
                collector.stopping.wait(30)
                self.close_connection = True
                return
            self.send_response(reply.status)
            for name, value in reply.headers:
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

    server = Server(("127.0.0.1", 0), Handler)
    collector.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        collector.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join(5)


def value_of(value: AnyValue) -> Any:
    match value.WhichOneof("value"):
        case None:
            return None
        case "array_value":
            return [value_of(item) for item in value.array_value.values]
        case "kvlist_value":
            return attributes_of(value.kvlist_value.values)
        case kind:
            return getattr(value, kind)


def attributes_of(pairs: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    pair: KeyValue
    for pair in pairs:
        assert pair.key not in found, f"attribute {pair.key} twice"
        found[pair.key] = value_of(pair.value)
    return found
