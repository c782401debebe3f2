"""Starting the real `clew` command for a test, and ending it."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clew_collector.model import record

START_TIMEOUT_S = 60.0


@record
class RunningClew:
    """A `clew up` that answers."""

    process: "subprocess.Popen[str]"
    dashboard_url: str
    otlp_url: str
    data: Path


def clew(*arguments: str, timeout_s: float = 60) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end, as a user would, with a home of its own."""
    return subprocess.run(
        [sys.executable, "-m", "clew_server.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        env={**os.environ, "COLUMNS": "200", "TERM": "dumb"},
    )


@contextmanager
def clew_up(data: Path, *arguments: str, command: str = "up") -> Iterator[RunningClew]:
    """`clew up` on free ports from when it says that it is up; SIGTERM at the end."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "clew_server.cli",
            command,
            "--data",
            str(data),
            "--port",
            "0",
            "--otlp-port",
            "0",
            *arguments,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        said = _read_until(process, "Ctrl-C stops")
        urls = re.findall(r"http://127\.0\.0\.1:\d+", said)
        otlp = re.findall(r"OTLP/HTTP\s+(http://127\.0\.0\.1:\d+)", said)
        yield RunningClew(process=process, dashboard_url=urls[0], otlp_url=otlp[0], data=data)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)


def _read_until(process: "subprocess.Popen[str]", mark: str) -> str:
    assert process.stdout is not None
    said = ""
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while mark not in said:
        line = process.stdout.readline()
        assert line, f"ended with {process.wait()} after saying:\n{said}"
        said += line
        assert time.monotonic() < deadline_s, f"not up in time, said:\n{said}"
    return said
