"""The demo shop as real processes."""

import os
import signal
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

from clew_demo.faults.switchboard import Switchboard
from clew_demo.servers.finding import Servers
from clew_demo.system import Service, named, services

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 5
LOG_TAIL_LINES = 15


class RunningShop:
    """Its processes on free ports, from entering to leaving the context: all of them, or those that are named.

    Without servers the shop brings its own Redis, which carries the messages, too.
    """

    def __init__(
        self,
        folder: Path,
        *,
        otlp_endpoint: str = "http://127.0.0.1:9",
        servers: Servers = Servers(),  # noqa: B008  # frozen
        only: Iterable[str] | None = None,
        zipkin_url: str | None = None,
        syslog_address: str | None = None,
    ) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        listed = services(
            folder,
            otlp_endpoint,
            base_port=0,
            servers=servers,
            zipkin_url=zipkin_url,
            syslog_address=syslog_address,
        )
        self.services = {service.name: service for service in listed}
        self.faults = Switchboard(folder)
        self.gateway_url = named("gateway", listed).url
        self._wanted = list(self.services) if only is None else [name for name in self.services if name in set(only)]
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def redis_url(self) -> str:
        """The Redis that the services use."""
        return self.services["gateway"].env["CLEW_DEMO_REDIS_URL"]

    @property
    def broker_url(self) -> str:
        """Where the services send their messages."""
        return self.services["gateway"].env["CLEW_DEMO_BROKER_URL"]

    def __enter__(self) -> "RunningShop":
        try:
            self.start(self._wanted)
        except BaseException:
            self._end_all()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._end_all()

    def start(self, names: Iterable[str]) -> None:
        """Start services, all at once, and wait until they are healthy."""
        names = list(names)
        for name in names:
            self._processes[name] = _start(self.services[name], log=self.log_path(name))
        for name in names:
            self._wait_until_up(name)

    def kill(self, name: str) -> None:
        """End a service as a crash would: nothing is finished, nothing said."""
        process = self._processes.pop(name)
        process.kill()
        process.wait()

    def stop(self, name: str, number: signal.Signals = signal.SIGTERM) -> float:
        """Ask a service to stop; return the seconds that it took."""
        process = self._processes.pop(name)
        start_s = time.monotonic()
        process.send_signal(number)
        try:
            process.wait(STOP_TIMEOUT_S)
        finally:
            process.kill()
        return time.monotonic() - start_s

    def pid(self, name: str) -> int:
        """Process ID of a service that runs."""
        return self._processes[name].pid

    def log_path(self, name: str) -> Path:
        """What a service writes to its standard output and error."""
        return self.folder / f"{name}.log"

    def _wait_until_up(self, name: str) -> None:
        service, process = self.services[name], self._processes[name]
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not service.is_up():
            if process.poll() is not None or time.monotonic() > deadline_s:
                tail = "\n".join(self.log_path(name).read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:])
                raise AssertionError(f"{name} did not get ready (status {process.poll()}); its last lines:\n{tail}")
            time.sleep(0.05)

    def _end_all(self) -> None:
        """All at once, and without asking: there are many, and nothing of theirs is needed any more."""
        for process in self._processes.values():
            process.kill()
        for process in self._processes.values():
            process.wait()
        self._processes.clear()


def _start(service: Service, *, log: Path) -> "subprocess.Popen[bytes]":
    with log.open("ab") as output:
        return subprocess.Popen(service.argv, env={**os.environ, **service.env}, stdout=output, stderr=output)
