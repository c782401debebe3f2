"""A service that is called over HTTP: answers as its path says, and keeps what it was sent."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Received:
    """One request as it arrived; names of headers in lower case."""

    method: str
    target: str
    headers: list[tuple[str, str]]

    def all(self, name: str) -> list[str]:
        return [value for found, value in self.headers if found == name]

    def __getitem__(self, name: str) -> str:
        (value,) = self.all(name)
        return value

    def __contains__(self, name: str) -> bool:
        return bool(self.all(name))

    @property
    def span_id(self) -> str:
        return self["traceparent"].split("-")[2]


@dataclass
class Peer:
    """Answers `/{status}`; a 302 leads to `/200`; `/busy` is a 503 the first time; `/hang` is silence until the end,
    `/drop` a closed connection the first time; as a proxy it opens no tunnel, and answers for everybody else."""

    port: int
    received: list[Received] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    arrived: threading.Event = field(default_factory=threading.Event)
    """Set by each request."""

    stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def is_first(self, target: str) -> bool:
        self.counts[target] = self.counts.get(target, 0) + 1
        return self.counts[target] == 1


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    peer: Peer

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def handle_any(self) -> None:
        peer = self.server.peer
        headers = [(name.lower(), value) for name, value in self.headers.items()]
        peer.received.append(Received(self.command, self.path, headers))
        peer.arrived.set()
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        last = self.path.partition("?")[0].rpartition("/")[2]
        if last == "hang" or (last == "drop" and peer.is_first(self.path)):
            if last == "hang":
                peer.stopping.wait(30)
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        self.answer(503 if last == "busy" and peer.is_first(self.path) else int(last) if last.isdigit() else 200)

    def answer(self, status: int) -> None:
        body = b"" if self.command == "HEAD" else b"{}"
        self.send_response(status)
        if status in (302, 307):
            self.send_header("Location", "/200")
        if status == 503:
            self.send_header("Retry-After", "0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_CONNECT(self) -> None:
        self.server.peer.received.append(Received(self.command, self.path, []))
        self.close_connection = True
        self.answer(403)

    do_GET = do_POST = do_HEAD = do_PURGE = handle_any  # noqa: N815  (http.server's names)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def running_peer() -> Iterator[Peer]:
    server = _Server(("127.0.0.1", 0), _Handler)
    server.peer = peer = Peer(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield peer
    finally:
        peer.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join(5)
