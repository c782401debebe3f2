"""A collector for tests: `clew up` as a process of its own, with its data in a temporary folder."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Final

READY_TIMEOUT_S: Final = 60.0
_POLL_S: Final = 0.05
# A proxy that the environment names is not for 127.0.0.1.
_open: Final = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


class CollectorNotStarted(RuntimeError):
    """The collector did not come up; the text says why."""


class RunningCollector:
    """A collector that runs: where services send to, and where its pages are."""

    def __init__(self, endpoint: str, dashboard_url: str) -> None:
        self.endpoint = endpoint
        """For `CLEW_ENDPOINT`."""

        self.dashboard_url = dashboard_url

    def request(self, correlation_id: str) -> Mapping[str, Any] | None:
        """A request as the dashboard's JSON gives it, as far as it has arrived; None when nothing has."""
        url = f"{self.dashboard_url}/requests/{urllib.parse.quote(correlation_id, safe='')}?format=json"
        try:
            with _open(url, timeout=30) as answer:
                found: Mapping[str, Any] = json.load(answer)
                return found
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise


@contextmanager
def running_collector() -> Iterator[RunningCollector]:
    """Start a collector, give it when it answers, and stop it. Raises `CollectorNotStarted`."""
    folder = Path(tempfile.mkdtemp(prefix="clew-testing-"))
    log = folder / "collector.log"
    options = ("--port", "--otlp-port", "--zipkin-port", "--syslog-port")
    free_ports = [argument for option in options for argument in (option, "0")]
    command = ["clew_server.cli", "up", "--data", str(folder / "data"), *free_ports]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # The tests' own settings are for the services under test.
            env={name: value for name, value in os.environ.items() if not name.startswith(("CLEW_", "OTEL_"))},
        )
    try:
        yield _wait_until_ready(process, folder / "data" / "clew.lock", log)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _wait_until_ready(process: "subprocess.Popen[bytes]", announced: Path, log: Path) -> RunningCollector:
    end_s = monotonic() + READY_TIMEOUT_S
    while process.poll() is None and monotonic() < end_s:
        try:
            said = json.loads(announced.read_text())
            return RunningCollector(said["otlp_url"], said["dashboard_url"])
        except (OSError, ValueError, KeyError):
            sleep(_POLL_S)
    told = log.read_text(errors="replace")[-2_000:]
    if "No module named" in told:
        told += "\nThe collector needs: pip install 'clew[server]'"
    raise CollectorNotStarted(f"the collector for tests did not start:\n{told}")
