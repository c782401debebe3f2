"""The demo as a list of processes, for whoever starts and watches them."""

import random
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from clew_demo.servers.finding import Servers
from clew_demo.settings import HOST, PORTS, url_variable

HEALTH_PATH = "/healthz"
PROBE_TIMEOUT_S = 2
# Linux hands out 32768 and above to outgoing connections: such a port may be gone before its service has started.
FREE_PORTS = range(20_000, 32_000)

DASHBOARD_VARIABLE = "CLEW_DEMO_DASHBOARD_URL"
ZIPKIN_VARIABLE = "CLEW_DEMO_ZIPKIN"
SYSLOG_VARIABLE = "CLEW_DEMO_SYSLOG"

START_ORDER = (
    "warehouse",
    "fraud",
    "pricing",
    "recommendations",
    "inventory",
    "accounts",
    "payments",
    "catalog",
    "catalog-2",
    "orders",
    "shipping",
    "notifications",
    "gateway",
    "control",
)
"""Whoever is asked starts before who asks; nobody waits, each tries again until its neighbours are there."""

CONSUMERS = {"shipping", "notifications"}
"""They only take messages: nothing to ask them over HTTP."""

INSTANCES = {"catalog-2": ("catalog", "--instance", "catalog-2")}
"""Second instances: the service, and what tells it that it is another one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One process of the demo. `env` comes on top of the starter's own environment."""

    name: str
    argv: tuple[str, ...]
    env: dict[str, str]
    port: int | None = None
    """Where it listens on 127.0.0.1; `None` if it does not."""
    health_path: str | None = None
    """Answers 200 once the service can work; `None` if it does not speak HTTP."""

    @property
    def url(self) -> str:
        """Where it answers. Only for a service that listens."""
        return f"http://{HOST}:{self.port}"

    def is_up(self) -> bool:
        """Whether it can work now; true for one that cannot be asked. Each question is a request in its trace."""
        if self.port is None:
            return True
        return _accepts(self.port) if self.health_path is None else _is_healthy(f"{self.url}{self.health_path}")


def services(
    data: Path,
    otlp_endpoint: str,
    *,
    base_port: int = PORTS["gateway"],
    servers: Servers = Servers(),  # noqa: B008  # frozen
    dashboard_url: str | None = None,
    zipkin_url: str | None = None,
    syslog_address: str | None = None,
) -> list[Service]:
    """All processes but the customers, in the order to start them; first a Redis, if none is given.

    They listen on `base_port` (the gateway) and the ports after it, as in `PORTS`; with 0, on ports that are free now.
    With the dashboard's URL, the page of faults links to what can be seen of them there; with a Zipkin's, and the
    `host:port` of a syslog, the neighbours that know nothing else send there.
    """
    ports = dict(zip(PORTS, _free_ports(len(PORTS)) if base_port == 0 else _following(base_port), strict=True))
    redis_url = servers.redis_url or f"redis://{HOST}:{ports['redis']}/0"
    env = {
        "CLEW_DEMO_DATA": str(data),
        "CLEW_DEMO_REDIS_URL": redis_url,
        "CLEW_DEMO_BROKER_URL": servers.broker_url or redis_url,
        # The first is clew's, and wins over what the starter's environment says; the second is the neighbours'.
        "CLEW_ENDPOINT": otlp_endpoint,
        "OTEL_EXPORTER_OTLP_ENDPOINT": otlp_endpoint,
        # The services have spans of their own for both; what they ask again and again in the background is no request.
        "CLEW_DISABLED_INSTRUMENTATIONS": "redis,sqlite3",
        **{url_variable(name): f"http://{HOST}:{port}" for name, port in ports.items() if name != "redis"},
        **({DASHBOARD_VARIABLE: dashboard_url} if dashboard_url else {}),
        **({ZIPKIN_VARIABLE: f"{zipkin_url}/api/v2/spans"} if zipkin_url else {}),
        **({SYSLOG_VARIABLE: syslog_address} if syslog_address else {}),
    }
    listed = [_service(name, ports.get(name), env) for name in START_ORDER]
    return listed if servers.redis_url else [_own_redis(ports["redis"]), *listed]


def traffic(gateway_url: str, *, rate_per_s: float = 4, seed: int | None = None) -> Service:
    """The customers: a process that keeps using the shop. Without a seed, differently each time."""
    argv = (sys.executable, "-m", "clew_demo.traffic", "--gateway", gateway_url, "--rate", str(rate_per_s))
    return Service(name="traffic", argv=argv if seed is None else (*argv, "--seed", str(seed)), env={})


def named(name: str, running: Iterable[Service]) -> Service:
    """The service of this name. Raises `StopIteration` if there is none."""
    return next(service for service in running if service.name == name)


def _service(name: str, port: int | None, env: dict[str, str]) -> Service:
    module, *more = INSTANCES.get(name, (name,))
    argv = (sys.executable, "-m", f"clew_demo.{module}", *more)
    if name in CONSUMERS:
        return Service(name=name, argv=argv, env=env)
    health_path = None if name == "inventory" else HEALTH_PATH  # inventory speaks gRPC: its port says enough
    return Service(name=name, argv=(*argv, "--port", str(port)), env=env, port=port, health_path=health_path)


def _own_redis(port: int) -> Service:
    argv = (sys.executable, "-m", "clew_demo.servers.own_redis", "--port", str(port))
    return Service(name="redis", argv=argv, env={}, port=port)


def _following(base_port: int) -> list[int]:
    return [base_port + offset for offset in range(len(PORTS))]


def _free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        ports: list[int] = []
        while len(ports) < count:
            port = random.choice(FREE_PORTS)
            with suppress(OSError):
                held.enter_context(socket.socket()).bind((HOST, port))
                ports.append(port)
        return ports


def _accepts(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=PROBE_TIMEOUT_S).close()
    except OSError:
        return False
    return True


# A proxy that the environment names is not for 127.0.0.1.
_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


def _is_healthy(url: str) -> bool:
    try:
        with _open(url, timeout=PROBE_TIMEOUT_S) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.HTTPError):
        return False
