"""A proxy before a real Elasticsearch that does to some requests what networks and proxies do."""

import http.client
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final
from urllib.parse import urlsplit

from clew_collector.model import record


@record
class Fault:
    """What becomes of a request: whether it is passed on, and what is said then; no status says nothing at all."""

    is_passed_on: bool
    status: int | None = None
    headers: Mapping[str, str] | None = None
    body: bytes = b""
    is_cut: bool = False


NO_ANSWER: Final = Fault(is_passed_on=True)
NOT_SENT: Final = Fault(is_passed_on=False)
HALF_AN_ANSWER: Final = Fault(is_passed_on=True, is_cut=True, status=200)


class FaultyProxy:
    """Passes all on but what `fault` says otherwise of a request line (`POST /stream/_bulk`)."""

    def __init__(self) -> None:
        self.url = ""
        self.fault: Callable[[str], Fault | None] = lambda _: None
        self.requests: list[str] = []

    def bulk_faults(self, *faults: Fault | None) -> None:
        """What becomes of the next `_bulk` requests, in order."""
        left = list(faults)
        self.fault = lambda line: left.pop(0) if "_bulk" in line and left else None


@contextmanager
def faulty_proxy(url: str) -> Iterator[FaultyProxy]:
    """One that listens on a free port, before the server at `url`."""
    proxy, host = FaultyProxy(), urlsplit(url).netloc
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            line = f"{self.command} {self.path}"
            with lock:
                proxy.requests.append(line)
                fault = proxy.fault(line)
            status, told = 0, b""
            headers: Mapping[str, str] = {"content-type": "application/json"}
            if fault is None or fault.is_passed_on:
                status, told = self.passed_on(body)
            if fault is not None:
                if fault.status is None:
                    self.close_connection = True
                    return
                if not fault.is_cut:
                    status, told = fault.status, fault.body
                headers = {**headers, **(fault.headers or {})}
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(told)))
            self.end_headers()
            cut = fault is not None and fault.is_cut
            self.wfile.write(told[: len(told) // 2] if cut else told)
            self.close_connection = cut

        do_GET = do_POST = do_PUT = handle_one  # noqa: N815

        def passed_on(self, body: bytes) -> tuple[int, bytes]:
            connection = http.client.HTTPConnection(host, timeout=60)
            kept = {name: self.headers[name] for name in ("content-type", "content-encoding") if self.headers[name]}
            try:
                connection.request(self.command, self.path, body or None, kept)
                answer = connection.getresponse()
                return answer.status, answer.read()
            finally:
                connection.close()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield proxy
    finally:
        with suppress(OSError):
            server.shutdown()
        thread.join()
        server.server_close()
