"""Routes of the fraud check."""

import logging
import re
from typing import Any

from flask import Flask, Response, request

SUSPICIOUS_CENTS = 250_000
"""An order of this much is looked at by a person."""

TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")

log = logging.getLogger("checks")


def create_app() -> Flask:
    """The service; it remembers nothing."""
    app = Flask(__name__)
    app.add_url_rule("/checks", view_func=check, methods=["POST"])
    app.add_url_rule("/healthz", view_func=lambda: {"status": "ok"})
    app.after_request(echo_request_id)
    return app


def check() -> tuple[dict[str, Any], int]:
    """Judge an order by what it costs."""
    wanted: Any = request.get_json(silent=True)
    if not _is_valid(wanted):
        log.warning("check refused", extra={"data": caller_ids()})
        return {"status": 422, "code": "invalid_request", "detail": "A check has an order_id and amount_cents."}, 422
    verdict = "suspicious" if wanted["amount_cents"] >= SUSPICIOUS_CENTS else "ok"
    details = {"order_id": wanted["order_id"], "amount_cents": wanted["amount_cents"], "verdict": verdict}
    level = logging.INFO if verdict == "ok" else logging.WARNING
    log.log(level, "order checked", extra={"data": {**caller_ids(), "check": details}})
    return {"verdict": verdict}, 200


def caller_ids() -> dict[str, dict[str, str]]:
    """The IDs that the caller sent, as structured data; a syslog has no other place for them."""
    ids = {"request_id": request.headers.get("X-Request-ID", "")}
    if traceparent := TRACEPARENT.fullmatch(request.headers.get("traceparent", "")):
        ids |= {"trace_id": traceparent[1], "span_id": traceparent[2]}
    return {"request": ids}


def echo_request_id(response: Response) -> Response:
    """Tell the caller the ID that it sent."""
    if request_id := request.headers.get("X-Request-ID"):
        response.headers["X-Request-ID"] = request_id
    return response


def _is_valid(wanted: Any) -> bool:
    return (
        isinstance(wanted, dict)
        and isinstance(wanted.get("order_id"), str)
        and type(wanted.get("amount_cents")) is int
        and wanted["amount_cents"] > 0
    )
