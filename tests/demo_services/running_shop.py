"""The demo shop as real processes."""

import os
import signal
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

import httpx

from clew_demo.system import Service, gateway_of, services

START_TIMEOUT_S = 20
STOP_TIMEOUT_S = 5


class RunningShop:
    """Four processes on free ports, from entering to leaving the context."""

    def __init__(self, folder: Path, *, otlp_endpoint: str = "http://127.0.0.1:9") -> None:
        self.folder = folder
        self.services = {service.name: service for service in services(folder, otlp_endpoint, base_port=0)}
        self.gateway_url = gateway_of(self.services.values()).url
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> "RunningShop":
        self.start(self.services)
        return self

    def __exit__(self, *exc_info: object) -> None:
        for name in list(self._processes):
            self.kill(name)

    def start(self, names: Iterable[str]) -> None:
        """Start services and wait until they are healthy."""
        for name in names:
            self._processes[name] = _start(self.services[name], output=self.folder / f"{name}.log")
        for name in names:
            _wait_until_healthy(self.services[name], self._processes[name])

    def kill(self, name: str) -> None:
        process = self._processes.pop(name)
        process.kill()
        process.wait()

    def stop(self, name: str, number: signal.Signals) -> float:
        """Ask a service to stop; return the seconds that it took."""
        process = self._processes.pop(name)
        start_s = time.monotonic()
        process.send_signal(number)
        process.wait(STOP_TIMEOUT_S)
        return time.monotonic() - start_s


def _start(service: Service, *, output: Path) -> subprocess.Popen[bytes]:
    with output.open("ab") as file:
        return subprocess.Popen(service.argv, env={**os.environ, **service.env}, stdout=file, stderr=file)


def _wait_until_healthy(service: Service, process: subprocess.Popen[bytes]) -> None:
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline_s and process.poll() is None:
        try:
            if httpx.get(f"{service.url}{service.health_path}", trust_env=False).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError(f"{service.name} did not become healthy")
