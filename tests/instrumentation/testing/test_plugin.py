"""The pytest plugin as a user meets it: an inner pytest run over services in processes of their own."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

SERVICES = '''
import os
import subprocess
import sys
import time

import httpx
import pytest
import socket

SERVICE = """
import os, sys
import httpx, structlog, uvicorn
from fastapi import FastAPI
import clew

name, port, callee = sys.argv[1:]
clew.configure(service=name)
app = clew.instrument(FastAPI())
log = structlog.get_logger()

@app.get("/{path:path}")
async def serve(path: str):
    log.info(f"{name} serves", path=path)
    if callee:
        async with httpx.AsyncClient(trust_env=False) as client:
            await client.get(f"{callee}/{path}")
    if path == "fail" and not callee:
        raise ValueError("no stock")
    return name

uvicorn.run(app, port=int(port), log_level="critical")
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def orders(clew_collector):
    ports = [free_port(), free_port()]
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    started = [
        subprocess.Popen([sys.executable, "-c", SERVICE, name, str(port), callee])
        for name, port, callee in (("orders", ports[0], urls[1]), ("inventory", ports[1], ""))
    ]
    end = time.monotonic() + 30
    for port in ports:
        while time.monotonic() < end:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
    yield urls[0]
    for process in started:
        process.terminate()
        process.wait()
'''

TESTS = """
def test_headers_alone(clew_requests, orders):
    request = clew_requests.new("abc-1")
    httpx.get(f"{orders}/a", headers=request.headers, trust_env=False)
    request.wait_complete(services=["orders", "inventory"], logs=2)
    request.assert_hop("orders", "inventory")
    request.assert_logged("inventory serves", service="inventory", level="info", path="a")
    request.assert_span("GET /{path:path}", service="orders", http__response__status_code=200)
    request.no_orphans()
    request.no_errors()


def test_a_block(clew_requests, orders):
    with clew_requests.new() as request:
        answer = httpx.get(f"{orders}/b", trust_env=False)
    assert answer.headers["x-request-id"] == request.correlation_id
    found = request.wait_complete(services=["tests", "orders", "inventory"])
    request.assert_hop("tests", "orders")
    assert found.services == {"tests", "orders", "inventory"}


def test_an_id_that_is_known(clew_requests, orders):
    answer = httpx.get(f"{orders}/c", trust_env=False)
    request = clew_requests.of(answer.headers["x-request-id"])
    request.wait_complete(services=["inventory"])


def test_fails(clew_requests, orders):
    request = clew_requests.new("bad-1")
    httpx.get(f"{orders}/fail", headers=request.headers, trust_env=False)
    request.wait_complete(services=["orders", "inventory"], logs=2)
    request.no_errors()


def test_waits_in_vain(clew_requests):
    clew_requests.new("never-1").wait_complete(timeout_s=0.5)


def test_claims_what_is_not_true(clew_requests, orders):
    request = clew_requests.new("abc-2")
    httpx.get(f"{orders}/a", headers=request.headers, trust_env=False)
    request.wait_complete(services=["orders", "inventory"], logs=2)
    for claim in (
        lambda: request.assert_hop("inventory", "orders"),
        lambda: request.assert_logged("inventory serves", service="orders"),
        lambda: request.assert_logged("inventory serves", path="z"),
        lambda: request.assert_span("GET /{path:path}", service="billing"),
    ):
        with pytest.raises(AssertionError, match="request abc-2:"):
            claim()
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What the inner run printed, and where it ran."""
    folder = tmp_path_factory.mktemp("inner")
    (folder / "test_orders.py").write_text(SERVICES + TESTS)
    env = {name: value for name, value in os.environ.items() if not name.startswith(("CLEW_", "OTEL_", "PYTEST_"))}
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", "test_orders.py"]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=120)
    return done.stdout + done.stderr, folder


@pytest.mark.parametrize(
    "test", ["test_headers_alone", "test_a_block", "test_an_id_that_is_known", "test_claims_what_is_not_true"]
)
def test_what_is_true_passes(run: tuple[str, Path], test: str) -> None:
    assert f"PASSED test_orders.py::{test}" in run[0], run[0]


def test_a_failed_request_is_shown_and_written_to_a_file(run: tuple[str, Path]) -> None:
    told, folder = run

    assert "FAILED test_orders.py::test_fails" in told
    assert "inventory: GET /{path:path}" in told
    written = json.loads((folder / "clew-requests" / "test_orders.py_test_fails-0.json").read_text())
    assert written["correlation_id"] == "bad-1"
    assert set(written["services"]) == {"tests", "orders", "inventory"}
    assert "inventory serves" in (folder / "clew-requests" / "test_orders.py_test_fails-0.txt").read_text()


def test_waiting_in_vain_says_what_is_missing(run: tuple[str, Path]) -> None:
    assert "after 0.5 s 0 of 1 spans have arrived: request never-1: nothing has arrived" in run[0]


def test_the_plugin_costs_a_run_that_does_not_use_it_no_import_of_clew(tmp_path: Path) -> None:
    (tmp_path / "test_other.py").write_text(
        textwrap.dedent(
            """
            import sys

            def test_other():
                assert "clew.testing.requests" not in sys.modules
                assert "clew_server" not in sys.modules
            """
        )
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_other.py"]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stdout
