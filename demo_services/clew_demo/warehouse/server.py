"""HTTP by hand, as in 2005: one handler, a thread for each connection."""

import itertools
import json
import logging
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from clew_demo.warehouse.logs import ABSENT, caller_ids
from clew_demo.warehouse.picks import Line, Picks

MAX_BODY_BYTES = 64_000
IDLE_TIMEOUT_S = 30
ORDER_ID = re.compile(r"[\w.-]{1,64}")
"""What is written into a log line must not be able to begin a new one."""

log = logging.getLogger("picks")


class Warehouse(ThreadingHTTPServer):
    """Listens for picks."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], picks: Picks) -> None:
        super().__init__(address, Handler)
        self.picks = picks
        self._numbers = itertools.count(1)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve one connection, under a name that fits into a log line."""
        threading.current_thread().name = f"http-{next(self._numbers)}"
        super().process_request_thread(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """`POST /picks`, `DELETE /picks/{order_id}` and `GET /healthz`."""

    server: Warehouse
    protocol_version = "HTTP/1.1"
    timeout = IDLE_TIMEOUT_S
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Say that the warehouse is open."""
        if self.path == "/healthz":
            self._answer(200, {"status": "ok"})
        else:
            self._refuse(404, "not_found", f"There is nothing at {self.path}.")

    def do_POST(self) -> None:
        """Pick an order. Safe to repeat."""
        if self.path != "/picks":
            self._refuse(404, "not_found", f"There is nothing at {self.path}.")
            return
        try:
            length_bytes = int(self.headers["Content-Length"])
            order_id, lines = _parse(self.rfile.read(min(length_bytes, MAX_BODY_BYTES)))
        except (ValueError, LookupError, TypeError) as error:
            self._log.warning("refused a pick: %r", error)
            self._refuse(422, "invalid_request", "A pick has an order_id and lines of product_id and quantity.")
            return
        self._pick(order_id, lines)

    def do_DELETE(self) -> None:
        """Put an order's things back. Safe to repeat, and before the pick has come."""
        order_id = self.path.removeprefix("/picks/")
        if not ORDER_ID.fullmatch(order_id):
            self._refuse(404, "not_found", f"There is nothing at {self.path}.")
            return
        was_picked = self.server.picks.put_back(order_id)
        self._log.info("put back order=%s found=%s", order_id, was_picked)
        self._answer(200, {"order_id": order_id, "was_picked": was_picked})

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: what matters about a request has a line already."""

    @property
    def _log(self) -> "logging.LoggerAdapter[logging.Logger]":
        return logging.LoggerAdapter(log, caller_ids(self.headers))

    def _pick(self, order_id: str, lines: list[Line]) -> None:
        try:
            pick_id = self.server.picks.add(order_id, lines)
        except KeyError as error:
            self._log.exception("cannot pick order=%s", order_id)
            self._refuse(404, "unknown_product", f"There is no shelf for {error.args[0]}.")
        else:
            self._log.info("picked order=%s lines=%d", order_id, len(lines))
            self._answer(200, {"pick_id": pick_id})

    def _refuse(self, status: int, code: str, detail: str) -> None:
        self._answer(status, {"status": status, "code": code, "detail": detail})

    def _answer(self, status: int, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if (request_id := caller_ids(self.headers)["request_id"]) != ABSENT:
            self.send_header("X-Request-ID", request_id)
        self.end_headers()
        self.wfile.write(body)


def _parse(body: bytes) -> tuple[str, list[Line]]:
    """The order and its lines. Raises `ValueError`, `LookupError` or `TypeError`."""
    wanted = json.loads(body)
    lines = [Line(str(line["product_id"]), int(line["quantity"])) for line in wanted["lines"]]
    if not lines or min(line.quantity for line in lines) < 1:
        raise ValueError("nothing to pick")
    if not ORDER_ID.fullmatch(wanted["order_id"]):
        raise ValueError("not an order_id")
    return wanted["order_id"], lines
