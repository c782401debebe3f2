"""The demo as a list of processes, for whoever starts and watches them."""

import socket
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from clew_demo.settings import HOST, PORTS, url_variable

HEALTH_PATH = "/healthz"
START_ORDER = ("inventory", "payments", "orders", "gateway")
"""Whoever is asked starts before who asks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One process of the demo. `env` comes on top of the starter's own environment."""

    name: str
    argv: tuple[str, ...]
    env: dict[str, str]
    port: int | None = None
    """Where it listens on 127.0.0.1; `None` if it does not."""
    health_path: str | None = None
    """Answers 200 once the service can work. Each question is a traced request: ask rarely."""

    @property
    def url(self) -> str:
        """Where it answers. Only for a service that listens."""
        return f"http://{HOST}:{self.port}"


def services(
    data: Path, otlp_endpoint: str, *, base_port: int = PORTS["gateway"], python: str = sys.executable
) -> list[Service]:
    """The four services, in the order to start them.

    They listen on `base_port` (the gateway) and the three ports after it; with 0, on ports that are free now.
    """
    ports = dict(zip(PORTS, _free_ports(len(PORTS)) if base_port == 0 else _following(base_port), strict=True))
    env = {
        "CLEW_DEMO_DATA": str(data),
        "OTEL_EXPORTER_OTLP_ENDPOINT": otlp_endpoint,
        **{url_variable(name): f"http://{HOST}:{port}" for name, port in ports.items()},
    }
    return [
        Service(
            name=name,
            argv=(python, "-m", f"clew_demo.{name}", "--port", str(ports[name])),
            env=env,
            port=ports[name],
            health_path=HEALTH_PATH,
        )
        for name in START_ORDER
    ]


def traffic(
    gateway_url: str, *, rate_per_s: float = 4, seed: int | None = None, python: str = sys.executable
) -> Service:
    """The customers: a process that keeps using the shop. Without a seed, differently each time."""
    argv = (python, "-m", "clew_demo.traffic", "--gateway", gateway_url, "--rate", str(rate_per_s))
    return Service(name="traffic", argv=argv if seed is None else (*argv, "--seed", str(seed)), env={})


def gateway_of(running: Iterable[Service]) -> Service:
    """The service that customers talk to."""
    return next(service for service in running if service.name == "gateway")


def _following(base_port: int) -> list[int]:
    return [base_port + offset for offset in range(len(PORTS))]


def _free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((HOST, 0))
        return [each.getsockname()[1] for each in sockets]
