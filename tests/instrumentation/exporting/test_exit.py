"""A process is gone within two seconds, whatever the collector does, and loses nothing when it takes everything."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.instrumentation.exporting.peers import grpc_peer, silent_server
from tests.instrumentation.fake_collector import FakeCollector

SCRIPT = textwrap.dedent(
    """
    import logging, sys, time
    import clew
    clew.configure(service="orders", endpoint=sys.argv[1])
    for number in range(3000):
        clew.get_tracer("shop").start_span("work").end()
        logging.getLogger("shop").warning("line %d", number)
    time.sleep(float(sys.argv[2]))
    print("done", flush=True)
    """
)

SERVER = textwrap.dedent(
    """
    import sys
    import uvicorn
    import clew
    clew.configure(service="orders", endpoint=sys.argv[1])
    kind = sys.argv[3]
    if kind == "raw":
        async def answer(scope, receive, send):
            assert scope["type"] == "http"
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body"})
        app = clew.ClewMiddleware(answer)
    else:
        from fastapi import FastAPI
        app = clew.instrument(FastAPI())
        app.add_api_route("/", lambda: None)
    uvicorn.run(app, port=int(sys.argv[2]), log_level="critical", access_log=False)
    """
)

ALLOWED_S = 2.0
INTERPRETER_S = 0.6
"""Stopping the interpreter (and uvicorn) itself, on a busy machine."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def seconds_to_exit(endpoint: str, *, work_s: float = 0.0, **settings: str) -> float:
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, endpoint, str(work_s)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **{f"CLEW_{name.upper()}": value for name, value in settings.items()}},
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        begin_s = time.monotonic()
        assert process.wait(20) == 0
        return time.monotonic() - begin_s


def test_all_that_was_queued_is_sent_at_exit(collector: FakeCollector) -> None:
    took_s = seconds_to_exit(collector.url)

    assert len(collector.spans) == 3_000
    assert len(collector.logs) == 3_000
    assert took_s < ALLOWED_S + INTERPRETER_S


@pytest.mark.parametrize("work_s", [0.0, 1.5], ids=["at once", "while it is waiting"])
def test_a_collector_that_refuses_does_not_hold_the_exit_up(work_s: float) -> None:
    assert seconds_to_exit(f"http://127.0.0.1:{free_port()}", work_s=work_s) < 1


@pytest.mark.parametrize("work_s", [0.0, 1.5], ids=["at once", "while it is waiting"])
def test_a_collector_that_hangs_does_not_hold_the_exit_up(work_s: float) -> None:
    with silent_server() as endpoint:
        assert seconds_to_exit(endpoint, work_s=work_s) < ALLOWED_S + INTERPRETER_S


def test_an_address_that_nobody_answers_from_does_not_hold_the_exit_up() -> None:
    assert seconds_to_exit("http://192.0.2.1:4318", work_s=0.5) < ALLOWED_S + INTERPRETER_S


def test_all_that_was_queued_is_sent_at_exit_over_grpc() -> None:
    with grpc_peer() as peer:
        took_s = seconds_to_exit(peer.url, protocol="grpc")

        assert len(peer.spans) == 3_000
        assert len(peer.logs) == 3_000
    assert took_s < ALLOWED_S + INTERPRETER_S


@pytest.mark.parametrize("work_s", [0.0, 1.5], ids=["at once", "while it is waiting"])
def test_a_collector_that_hangs_does_not_hold_the_exit_up_over_grpc(work_s: float) -> None:
    with silent_server() as endpoint:
        assert seconds_to_exit(endpoint, work_s=work_s, protocol="grpc") < ALLOWED_S + INTERPRETER_S


def test_a_collector_that_refuses_does_not_hold_the_exit_up_over_grpc() -> None:
    took_s = seconds_to_exit(f"http://127.0.0.1:{free_port()}", work_s=0.5, protocol="grpc")

    assert took_s < ALLOWED_S + INTERPRETER_S


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_disk_buffer_does_not_hold_the_exit_up(tmp_path: Path, protocol: str) -> None:
    with silent_server() as endpoint:
        took_s = seconds_to_exit(endpoint, work_s=0.5, protocol=protocol, disk_buffer=str(tmp_path))

    assert took_s < ALLOWED_S + INTERPRETER_S
    assert sum(int(path.name.split("-")[3]) for path in tmp_path.iterdir()) == 6_000


def test_a_disk_that_cannot_be_written_to_does_not_hold_the_exit_up(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with silent_server() as endpoint:
        took_s = seconds_to_exit(endpoint, work_s=0.5, disk_buffer=str(tmp_path / "file"))

    assert took_s < ALLOWED_S + INTERPRETER_S


@contextmanager
def serving(endpoint: str, kind: str) -> Iterator[subprocess.Popen[bytes]]:
    port = free_port()
    process = subprocess.Popen([sys.executable, "-c", SERVER, endpoint, str(port), kind], stderr=subprocess.DEVNULL)
    try:
        end_s = time.monotonic() + 20
        while time.monotonic() < end_s:
            try:
                httpx.get(f"http://127.0.0.1:{port}/")
                break
            except httpx.ConnectError:
                time.sleep(0.02)
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("kind", ["fastapi", "raw"])
def test_sigterm_under_uvicorn_loses_nothing(collector: FakeCollector, kind: str) -> None:
    with serving(collector.url, kind) as process:
        process.send_signal(signal.SIGTERM)
        process.wait(10)

    assert [span.name.split()[0] for span in collector.spans] == ["GET"]


def test_sigterm_under_uvicorn_with_a_hanging_collector_takes_two_seconds() -> None:
    with silent_server() as endpoint, serving(endpoint, "fastapi") as process:
        begin_s = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.wait(10)

        assert time.monotonic() - begin_s < ALLOWED_S + INTERPRETER_S


def test_sigint_under_uvicorn_with_a_hanging_collector_takes_two_seconds() -> None:
    """Here `atexit` runs as well, after the lifespan has waited already."""
    with silent_server() as endpoint, serving(endpoint, "fastapi") as process:
        begin_s = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.wait(10)

        assert time.monotonic() - begin_s < ALLOWED_S + INTERPRETER_S
