"""A proxy before a real server of HTTP that does to some requests what networks and proxies do."""

import gzip
import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import urlsplit

from clew_collector.model import record

_OF_ONE_CONNECTION: Final = frozenset(("connection", "keep-alive", "transfer-encoding", "content-length", "expect"))


@record
class Request:
    """A request: `line` is `POST /stream/_bulk`, names of headers are in lower case, `body` is decompressed."""

    line: str
    headers: Mapping[str, str]
    body: bytes


@record
class Fault:
    """What becomes of a request: whether it is passed on, and what is said then; no status says nothing at all.

    An answer that `is_late` comes when the proxy is told to `hurry`.
    """

    is_passed_on: bool
    status: int | None = None
    headers: Mapping[str, str] | None = None
    body: bytes = b""
    is_cut: bool = False
    is_late: bool = False


NO_ANSWER: Final = Fault(is_passed_on=True)
NOT_SENT: Final = Fault(is_passed_on=False)
HALF_AN_ANSWER: Final = Fault(is_passed_on=True, is_cut=True, status=200)


class FaultyProxy:
    """Passes all on but what `fault` says otherwise of a request."""

    def __init__(self, url: str = "") -> None:
        self.url = url
        self.fault: Callable[[Request], Fault | None] = lambda _: None
        self.requests: list[str] = []
        self.hurry = threading.Event()

    def bulk_faults(self, *faults: Fault | None) -> None:
        """What becomes of the next `_bulk` requests, in order."""
        left = list(faults)
        self.fault = lambda request: left.pop(0) if "_bulk" in request.line and left else None


class _Server(ThreadingHTTPServer):
    """One that ends its connections when it ends."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, port: int, handler: Any) -> None:
        self.connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are no news."""

    def end(self) -> None:
        self.shutdown()
        self.server_close()
        for connection in list(self.connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def faulty_proxy(
    url: str, *, port: int = 0, context: ssl.SSLContext | None = None, behaving: FaultyProxy | None = None
) -> Iterator[FaultyProxy]:
    """One that listens on a port, or a free one, before the server at `url`; over TLS if a context is given.

    It behaves as another one did, if that is given.
    """
    proxy, host = behaving or FaultyProxy(), urlsplit(url).netloc
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one(self) -> None:
            body = self.body()
            is_packed = self.headers.get("content-encoding") == "gzip"
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(f"{self.command} {self.path}", headers, gzip.decompress(body) if is_packed else body)
            with lock:
                proxy.requests.append(request.line)
                fault = proxy.fault(request)
            status, told, headers = 0, b"", {"content-type": "application/json"}
            if fault is None or fault.is_passed_on:
                status, headers, told = self.passed_on(body)
            if fault is not None:
                if fault.is_late:
                    proxy.hurry.wait(60)
                if fault.status is None:
                    self.close_connection = True
                    return
                if not fault.is_cut:
                    status, told = fault.status, fault.body
                headers = {**headers, **(fault.headers or {})}
            self.answer(status, headers, told, is_cut=fault is not None and fault.is_cut)

        do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = handle_one  # noqa: N815

        def body(self) -> bytes:
            if self.headers.get("transfer-encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("content-length", 0)))
            found = b""
            while size := int(self.rfile.readline(), 16):
                found += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return found

        def answer(self, status: int, headers: Mapping[str, str], told: bytes, *, is_cut: bool) -> None:
            told = told or (b"{}" if is_cut else b"")
            self.send_response(status)
            for name, value in headers.items():
                if self.command == "HEAD" or name.lower() not in _OF_ONE_CONNECTION:
                    self.send_header(name, value)
            if self.command != "HEAD":
                self.send_header("content-length", str(len(told)))
            self.end_headers()
            self.wfile.write(told[: len(told) // 2] if is_cut else told)
            self.close_connection = is_cut

        def passed_on(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
            connection = http.client.HTTPConnection(host, timeout=60)
            kept = {name: value for name, value in self.headers.items() if name.lower() not in _OF_ONE_CONNECTION}
            try:
                connection.request(self.command, self.path, body or None, kept)
                answer = connection.getresponse()
                return answer.status, dict(answer.getheaders()), answer.read()
            finally:
                connection.close()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = _Server(port, Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    proxy.url = f"{'https' if context else 'http'}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield proxy
    finally:
        proxy.hurry.set()
        server.end()
        thread.join()
