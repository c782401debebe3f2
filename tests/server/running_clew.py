"""Starting the real `clew` command for a test, and ending it."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx

from clew_collector.model import record
from tests.waiting import wait_until

START_TIMEOUT_S = 90.0


T = TypeVar("T")


@record
class RunningClew:
    """A `clew up` or `clew demo` that answers; `urls` by the name that it gave them in what it `said` at its start."""

    process: "subprocess.Popen[str]"
    said: str
    urls: Mapping[str, str]
    data: Path

    @property
    def dashboard_url(self) -> str:
        return self.urls["dashboard"]

    @property
    def otlp_url(self) -> str:
        return self.urls["otlp"]

    @property
    def zipkin_url(self) -> str:
        return self.urls["zipkin"]

    @property
    def syslog_address(self) -> tuple[str, int]:
        host, _, port = self.urls["syslog"].partition(":")
        return host, int(port)

    def wait_for(self, fetch: Callable[[], T], is_there: Callable[[T], bool], *, timeout_s: float = 20) -> T:
        """Fetch until it is there: records can be asked for a second or two after they were made."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            found = fetch()
            if is_there(found):
                return found
            assert time.monotonic() < deadline_s, f"not there in time, last: {found!r:.500}"
            time.sleep(0.1)

    def wait_until_applied(self, *, timeout_s: float) -> None:
        """Wait until nothing is in the spool that the store, or a sink, has yet to take."""

        def waiting() -> Any:
            return httpx.get(f"{self.dashboard_url}/health?format=json", timeout=60).json()["spool"]

        wait_until(lambda: waiting()["payloads"] == 0, timeout_s=timeout_s, every_s=0.5, found=waiting)


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
            "--grpc-port",
            "0",
            "--zipkin-port",
            "0",
            "--bulk-port",
            "0",
            "--syslog-port",
            "0",
            *arguments,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        said = _read_until(process, "Ctrl-C stops")
        yield RunningClew(process=process, said=said, urls=_urls(said), data=data)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)


def _urls(said: str) -> dict[str, str]:
    patterns = {
        "dashboard": r"(http://127\.0\.0\.1:\d+)",
        "otlp": r"OTLP/HTTP\s+(https?://127\.0\.0\.1:\d+)",
        "grpc": r"OTLP/gRPC\s+(127\.0\.0\.1:\d+)",
        "bulk": r"_bulk\s+(https?://127\.0\.0\.1:\d+)",
        "syslog": r"Syslog\s+(127\.0\.0\.1:\d+)",
        "zipkin": r"Zipkin\s+(https?://127\.0\.0\.1:\d+)",
        "gateway": r"(http://127\.0\.0\.1:\d+)/products",
        "control": r"(http://127\.0\.0\.1:\d+)/faults",
    }
    return {name: found.group(1) for name, pattern in patterns.items() if (found := re.search(pattern, said))}


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
