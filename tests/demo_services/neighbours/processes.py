"""Single services of the shop as processes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.servers.processes import answers_http, free_port
from tests.waiting import wait_until

STOP_TIMEOUT_S = 10

TRACE_ID, SPAN_ID = "a" * 32, "b" * 16
CALLER = {
    "X-Request-ID": "web-7f3a09c1",
    "traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01",
    "baggage": "correlation.id=web-7f3a09c1",
}
"""What a service that has clew sends along."""


class RunningService:
    """A process that was started here; one with an empty `url` does not listen."""

    def __init__(self, process: "subprocess.Popen[bytes]", *, url: str, data: Path, output: Path) -> None:
        self.process = process
        self.url = url
        self.data = data
        self._output = output
        self._client = httpx.Client(base_url=url, headers=CALLER, trust_env=False, timeout=5)

    @property
    def output(self) -> str:
        """Standard output and error so far."""
        return self._output.read_text()

    def get(self, path: str, *, timeout_s: float = 5) -> httpx.Response:
        return self._client.get(path, timeout=timeout_s)

    def post(self, path: str, body: object, *, headers: Mapping[str, str] | None = None) -> httpx.Response:
        return self._client.post(path, json=body, headers=headers)

    def delete(self, path: str) -> httpx.Response:
        return self._client.delete(path)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> float:
        """Tell it to stop; the seconds that it took."""
        start_s = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(STOP_TIMEOUT_S)
        return time.monotonic() - start_s


@contextmanager
def running_service(
    name: str, folder: Path, *, env: Mapping[str, str] | None = None, listens: bool = True
) -> Iterator[RunningService]:
    """`python -m clew_demo.NAME` on a free port, from when it is healthy."""
    port = free_port()
    output = folder / f"{name}.out"
    argv = [sys.executable, "-m", f"clew_demo.{name}", *(["--port", str(port)] if listens else [])]
    own = {"CLEW_DEMO_DATA": str(folder), "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", **(env or {})}
    with output.open("wb") as file:
        process = subprocess.Popen(argv, env={**os.environ, **own}, stdout=file, stderr=file)
    url = f"http://127.0.0.1:{port}" if listens else ""
    try:
        if listens:
            is_healthy = answers_http(f"{url}/healthz")
            wait_until(lambda: is_healthy() or process.poll() is not None, timeout_s=40)
            assert process.poll() is None, output.read_text()
        yield RunningService(process, url=url, data=folder, output=output)
    finally:
        process.kill()
        process.wait()
