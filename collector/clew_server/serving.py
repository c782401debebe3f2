"""Starting a collector with its pages: sockets, processes, and the moment when both answer."""

import os
import socket
import sys
import urllib.error
import urllib.request
from typing import Final

from clew_collector.config import CollectorConfig
from clew_collector.errors import ConfigError
from clew_collector.receivers.otlp_http import HEALTH_PATH
from clew_collector.spool import Spool
from clew_server.supervisor import ChildSpec, Supervisor

_PROBE_TIMEOUT_S: Final = 1.0


class Collector:
    """The two processes of a collector under a supervisor.

    Listens before it starts them and keeps the sockets open, so that senders wait instead of being refused while a
    process is started again. Raises `ConfigError` for a port or a spool that cannot be used.
    """

    def __init__(self, config: CollectorConfig) -> None:
        self.config = config
        self._otlp = listen(config.otlp_host, config.otlp_http_port, flag="--otlp-port")
        self._dashboard = listen("127.0.0.1", config.dashboard_port, flag="--port")
        # Made here first: two processes that make the same file at once get in each other's way.
        Spool(config.spool_path).close()

    @property
    def otlp_url(self) -> str:
        """Where services send their logs and traces."""
        host = self.config.otlp_host
        return f"http://{'127.0.0.1' if host in ('0.0.0.0', '::') else host}:{self._otlp.getsockname()[1]}"

    @property
    def dashboard_url(self) -> str:
        """Where people look."""
        return f"http://127.0.0.1:{self._dashboard.getsockname()[1]}"

    def start(self, supervisor: Supervisor) -> None:
        """Have both processes kept running."""
        for name, module, listening in (
            ("intake", "clew_server.intake", self._otlp),
            ("store", "clew_server.store", self._dashboard),
        ):
            supervisor.start(self.spec(name, module, listening.fileno()))

    def spec(self, name: str, module: str, fd: int) -> ChildSpec:
        """How one of the processes is started."""
        argv = [sys.executable, "-m", module, self.config.model_dump_json(), str(fd)]
        return ChildSpec(name=name, argv=argv, fds=(fd,))

    def close(self) -> None:
        """Stop listening, once the processes have ended."""
        self._otlp.close()
        self._dashboard.close()

    def is_ready(self) -> bool:
        """Whether both answer now."""
        return answers(f"{self.otlp_url}{HEALTH_PATH}") and answers(f"{self.dashboard_url}/health?format=json")


def listen(host: str, port: int, *, flag: str) -> socket.socket:
    """A listening socket. Raises `ConfigError` naming the option to change if the address cannot be had."""
    try:
        listening = socket.create_server(
            (host, port), backlog=2048, family=socket.AF_INET6 if ":" in host else socket.AF_INET
        )
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host}:{port}: {os.strerror(error.errno or 0)}; choose another port with {flag}"
        ) from error
    listening.set_inheritable(True)
    return listening


def answers(url: str) -> bool:
    """Whether anything answers HTTP at this address, with whatever status."""
    try:
        urllib.request.urlopen(url, timeout=_PROBE_TIMEOUT_S).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True
