"""A Zipkin that only remembers."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class ZipkinSink:
    """Takes `POST /api/v2/spans` inside its context; answers with `status`."""

    def __init__(self) -> None:
        self.spans: list[dict[str, Any]] = []
        self.status = 202
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/api/v2/spans"

    def __enter__(self) -> "ZipkinSink":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert (self.path, self.headers["Content-Type"]) == ("/api/v2/spans", "application/json")
                spans = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if sink.status == 202:
                    sink.spans += spans
                self.send_response(sink.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None: ...

        return Handler
