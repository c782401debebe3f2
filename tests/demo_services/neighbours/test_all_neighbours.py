"""What the neighbours have in common: they know nothing of clew, and behave as services."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.demo_services.neighbours.processes import CALLER, running_service

pytestmark = pytest.mark.usefixtures("callers_have_no_clew")

A_REQUEST = {
    "warehouse": ("POST", "/picks", {"order_id": "o-1", "lines": [{"product_id": "moka-pot", "quantity": 2}]}),
    "fraud": ("POST", "/checks", {"order_id": "o-1", "amount_cents": 1200}),
    "recommendations": ("GET", "/recommendations/moka-pot", None),
    "pricing": ("GET", "/prices/moka-pot", None),
}
STRANGERS = {
    "warehouse": ("clew", "opentelemetry", "structlog", "httpx"),
    "fraud": ("clew", "opentelemetry", "structlog"),
    "recommendations": ("clew", "structlog"),
    "pricing": ("clew", "opentelemetry.sdk", "structlog"),
}


@pytest.mark.parametrize("name", A_REQUEST)
def test_it_runs_without_what_it_does_not_know(name: str) -> None:
    check = f"import sys, clew_demo.{name}.__main__; print(set(sys.modules) & set({STRANGERS[name]!r}))"

    assert subprocess.check_output([sys.executable, "-c", check], text=True).strip() == "set()"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("name", A_REQUEST)
def test_it_echoes_the_request_id_and_stops_promptly(name: str, number: signal.Signals, tmp_path: Path) -> None:
    method, path, body = A_REQUEST[name]
    with running_service(name, tmp_path) as service:
        answer = service.get(path) if method == "GET" else service.post(path, body)
        took_s = service.stop(number)

    assert answer.status_code == 200
    assert answer.headers["X-Request-ID"] == CALLER["X-Request-ID"]
    assert took_s < 8
