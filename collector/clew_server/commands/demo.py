"""`clew demo`: a shop of small services with traffic, and clew watching it."""

import shutil
import socket
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

import typer

from clew_collector.config import CollectorConfig
from clew_collector.errors import ConfigError
from clew_demo.faults.switchboard import Switchboard
from clew_demo.servers.finding import Servers, find_servers
from clew_demo.system import Service, named, services, traffic
from clew_server.commands.demo_fault import fault, shop_folder
from clew_server.commands.options import (
    DEMO_DATA,
    BulkPort,
    DashboardPort,
    GrpcPort,
    OtlpPort,
    SyslogPort,
    ZipkinPort,
    overrides_of,
)
from clew_server.commands.up import wait_until_ready
from clew_server.listeners import SYSLOG, ZIPKIN
from clew_server.running import DataLock
from clew_server.serving import Collector
from clew_server.sockets import listen
from clew_server.supervisor import ChildSpec, Supervisor

_NO_TRAFFIC: Final = 0.0
_NEEDED: Final = ("fakeredis", "flask", "grpc", "joserfc", "kombu", "limits", "litestar", "purgatory", "stamina")
_SERVER_TIMEOUT_S: Final = 2.0
_BROKER_SCHEMES: Final = ("amqp", "amqps", "redis", "rediss")
_REDIS_SCHEMES: Final = ("redis", "rediss")

app = typer.Typer(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
app.command("fault")(fault)


@app.callback()
def demo(
    context: typer.Context,
    data: Annotated[
        Path,
        typer.Option("--data", metavar="DIR", help="Where the demo and what it tells are kept.", file_okay=False),
    ] = DEMO_DATA,
    port: DashboardPort = None,
    otlp_port: OtlpPort = None,
    grpc_port: GrpcPort = None,
    zipkin_port: ZipkinPort = None,
    bulk_port: BulkPort = None,
    syslog_port: SyslogPort = None,
    shop_port: Annotated[
        int,
        typer.Option(
            min=0, max=65000, metavar="PORT", help="Port of the shop's gateway; the services take the next twelve."
        ),
    ] = 8850,
    rate: Annotated[
        float, typer.Option(min=0, max=1000, metavar="N", help="User actions a second, on average; 0 makes none.")
    ] = 4.0,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Make the same traffic each time.")] = None,
    broker: Annotated[
        str | None,
        typer.Option(
            envvar="CLEW_DEMO_BROKER_URL",
            metavar="URL",
            help="Where messages go: amqp://... or redis://...; else a RabbitMQ on this machine, else the Redis.",
        ),
    ] = None,
    redis: Annotated[
        str | None,
        typer.Option(
            envvar="CLEW_DEMO_REDIS_URL",
            metavar="URL",
            help="Cache and locks: redis://...; else a Redis on this machine (database 8), else one of the demo's own.",
        ),
    ] = None,
) -> None:
    """Run a shop of a dozen small services under real traffic, with clew watching it.

    Needs nothing else: no server, no account. Ctrl-C stops all of it. While it runs, `clew demo fault` breaks it.
    """
    if context.invoked_subcommand is not None:
        return
    _check_installed()
    given = Servers(
        redis_url=_checked(redis, flag="--redis", schemes=_REDIS_SCHEMES),
        broker_url=_checked(broker, flag="--broker", schemes=_BROKER_SCHEMES),
    )
    overrides = overrides_of(
        data=data.absolute(),
        dashboard__port=port,
        receivers__otlp_http__port=otlp_port,
        receivers__otlp_grpc__port=grpc_port,
        receivers__zipkin__port=zipkin_port,
        receivers__elastic_bulk__port=bulk_port,
        receivers__syslog__port=syslog_port,
    )
    warehouse_log = shop_folder(data.absolute()) / "logs" / "warehouse.log*"
    overrides["receivers"] = {
        **overrides.get("receivers", {}),
        "tail": [{"paths": [str(warehouse_log)], "service": "warehouse", "start_at": "beginning"}],
    }
    config = CollectorConfig.model_validate({**overrides, "telemetry": {"observe_itself": False}})
    raise typer.Exit(_run(config, find_servers(given), shop_port=shop_port, rate=rate, seed=seed))


def _run(config: CollectorConfig, servers: Servers, *, shop_port: int, rate: float, seed: int | None) -> int:
    """Run it all until told to stop; the exit status."""
    lock = DataLock(config.data)
    collector = Collector(config)
    folder = shop_folder(config.data)
    shop = services(
        folder,
        collector.otlp_url,
        base_port=shop_port,
        servers=servers,
        dashboard_url=collector.dashboard_url,
        zipkin_url=collector.address(ZIPKIN),
        syslog_address=collector.address(SYSLOG),
    )
    for service in shop:
        _check_port(service)
    Switchboard(folder).lift_all()
    supervisor = Supervisor(say=lambda line: print(f"clew: {line}", file=sys.stderr, flush=True))
    supervisor.stop_on_signals()
    try:
        print(servers.described(own_redis_url=_own_redis_url(shop)), flush=True)
        _open_shop(collector, shop, supervisor, lock)
        gateway = named("gateway", shop)
        if rate > _NO_TRAFFIC and not supervisor.stopping:
            _start(traffic(gateway.url, rate_per_s=rate, seed=seed), supervisor, logs=config.data / "logs")
        if not supervisor.stopping:
            print(_welcome(collector, gateway, named("control", shop)), flush=True)
        status = supervisor.watch()
        if supervisor.stopping:
            print("\nclosing the shop", flush=True)
    finally:
        supervisor.stop()
        lock.release()
    return status


def _check_installed() -> None:
    """Raise `ConfigError` now rather than have services fail over and over."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise ConfigError(f"the demo needs {', '.join(missing)}: pip install 'clew[demo]'")


def _checked(url: str | None, *, flag: str, schemes: tuple[str, ...]) -> str | None:
    """A server's URL. Raises `ConfigError` if it is none, or nothing listens there."""
    if url is None:
        return None
    parts = urlsplit(url)
    if parts.scheme not in schemes or parts.hostname is None:
        raise ConfigError(f"{flag} must be a URL that begins with {' or '.join(f'{s}://' for s in schemes)}")
    port = parts.port or (5672 if parts.scheme.startswith("amqp") else 6379)
    try:
        socket.create_connection((parts.hostname, port), timeout=_SERVER_TIMEOUT_S).close()
    except OSError as error:
        raise ConfigError(f"{flag}: nothing answers at {parts.hostname}:{port}: {error.strerror or error}") from error
    return url


def _check_port(service: Service) -> None:
    """Raise `ConfigError` now rather than have a service fail over and over."""
    if service.port is not None:
        listen("127.0.0.1", service.port, remedy="--shop-port").close()


def _open_shop(collector: Collector, shop: list[Service], supervisor: Supervisor, lock: DataLock) -> None:
    """Start everything at once, and wait until all answer."""
    logs = collector.config.data / "logs"
    collector.start(supervisor)
    for service in shop:
        _start(service, supervisor, logs=logs)
    wait_until_ready(supervisor, collector.is_ready, what="the collector")
    lock.announce(dashboard_url=collector.dashboard_url, otlp_url=collector.otlp_url, key=collector.own_key)
    for service in shop:
        what = f"{service.name} (its lines are in {logs / service.name}.log)"
        wait_until_ready(supervisor, service.is_up, what=what)


def _start(service: Service, supervisor: Supervisor, *, logs: Path) -> None:
    logs.mkdir(mode=0o700, exist_ok=True)
    supervisor.start(
        ChildSpec(name=service.name, argv=service.argv, env=service.env, log_path=logs / f"{service.name}.log")
    )


def _own_redis_url(shop: list[Service]) -> str:
    return next((f"redis://127.0.0.1:{service.port}" for service in shop if service.name == "redis"), "")


def _welcome(collector: Collector, gateway: Service, control: Service) -> str:
    of_data = "" if collector.config.data == DEMO_DATA else f" --data {collector.config.data}"
    ways_in = "".join(f"  {line}\n" for line in collector.listener_lines(width=13))
    return (
        f"The shop is open, customers are in it, and clew is watching.\n"
        f"\n"
        f"  Look first   {collector.dashboard_url}/requests\n"
        f"               the newest requests, live; click a checkout to see it across the services\n"
        f"  A failure    {collector.dashboard_url}/requests?error=true\n"
        f"               payments that their provider refused: the error, its stack, and who felt it\n"
        f"  A slow one   {collector.dashboard_url}/requests?min_duration_ms=700\n"
        f"               large orders: look for the longest bar\n"
        f"  Make one     curl -i -H 'X-Request-ID: my-first-request' {gateway.url}/products/teapot-iron\n"
        f"               then open {collector.dashboard_url}/requests/my-first-request\n"
        f"               or run: {_command()} request my-first-request{of_data}\n"
        f"  Break it     {_command()} demo fault slow-database{of_data}\n"
        f"               then look at the newest checkouts; all faults: {control.url}/faults\n"
        f"\n"
        f"{ways_in}"
        f"  Data, logs   {collector.config.data}\n"
        f"Ctrl-C stops all of it."
    )


def _command() -> str:
    """How this `clew` is called: by its name, or by its path where the name is not known to the shell."""
    return "clew" if shutil.which("clew") else sys.argv[0]
