"""What the middleware adds to a request, all in, against OpenTelemetry's instrumentation.

Each cell is a process of its own that drives an application through its ASGI interface and exports to a sink over
HTTP; the export thread's work and the last flush are part of the figure. Cases are interleaved: within a round they
follow each other, so that they see the same state of the machine, and cost added is taken against the bare
application of the same round.
"""

import json
import statistics
import subprocess
import sys
import threading
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from benchmarks.table import print_table, spread

KINDS = ("starlette", "fastapi")
CASES = ("bare", "clew", "opentelemetry")
ROUNDS = 5


class _Sink(BaseHTTPRequestHandler):
    """Takes whatever is posted and says 200, as a collector with nothing to do would."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    sink = ThreadingHTTPServer(("127.0.0.1", 0), _Sink)
    threading.Thread(target=sink.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{sink.server_address[1]}"
    rows = [row for kind in KINDS for row in _rows_of(kind, url)]
    sink.shutdown()
    print_table(
        f"Cost added to a request, all in with OTLP export, us (median of {ROUNDS} rounds, smallest to largest)",
        ["application", "bare", "clew adds", "OpenTelemetry adds", "OpenTelemetry / clew"],
        rows,
    )


def _rows_of(kind: str, url: str) -> list[list[str]]:
    took_us: dict[str, list[float]] = defaultdict(list)
    for _ in range(ROUNDS):
        for case in CASES:
            took_us[case].append(_measure(case, kind, url))
    added = {
        case: [with_it - bare for with_it, bare in zip(took_us[case], took_us["bare"], strict=True)] for case in CASES
    }
    ratio = statistics.median(added["opentelemetry"]) / statistics.median(added["clew"])
    bare, ours, theirs = spread(took_us["bare"]), spread(added["clew"]), spread(added["opentelemetry"])
    return [[kind, bare, ours, theirs, f"{ratio:.1f}"]]


def _measure(case: str, kind: str, url: str) -> float:
    cell = subprocess.run(
        [sys.executable, "-m", "benchmarks.middleware_cell", case, kind, url],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=300,
    )
    return float(json.loads(cell.stdout.splitlines()[-1])["us_per_request"])
