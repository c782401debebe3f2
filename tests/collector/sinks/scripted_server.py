"""A real HTTP server that answers as it was told to, also wrongly."""

import gzip
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from clew_collector.model import record


@record
class Received:
    """A request: its body is decompressed."""

    path: str
    headers: Mapping[str, str]
    body: bytes


@record
class Answer:
    """What to say. One that is `cut` names more bytes than it has; one that is `late` waits until the test is over."""

    status: int = 202
    headers: Mapping[str, str] | None = None
    body: bytes = b""
    is_cut: bool = False
    is_late: bool = False


class ScriptedServer:
    """Answers with what `answer` makes of a request; `received` is all it got, in order."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answer: Callable[[Received], Answer] = lambda _: Answer()
        self.is_over = threading.Event()
        self.url = ""

    def always(self, answer: Answer) -> None:
        """Answer every request alike."""
        self.answer = lambda _: answer


@contextmanager
def scripted_server(context: Any = None) -> Iterator[ScriptedServer]:
    """One that listens on a free port; over TLS if a context is given."""
    script = ScriptedServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            received = Received(path=self.path, headers=dict(self.headers), body=body)
            script.received.append(received)
            answer = script.answer(received)
            if answer.is_late:
                script.is_over.wait(60)
            self.send_response(answer.status)
            for name, value in (answer.headers or {}).items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(answer.body) + (100 if answer.is_cut else 0)))
            self.end_headers()
            self.wfile.write(answer.body)
            self.close_connection = answer.is_cut

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    script.url = f"{'https' if context else 'http'}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield script
    finally:
        script.is_over.set()
        server.shutdown()
        thread.join()
        server.server_close()
