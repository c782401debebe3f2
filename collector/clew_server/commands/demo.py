"""`clew demo`: a shop of four services with traffic, and clew watching it."""

import shutil
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from clew_collector.config import CollectorConfig
from clew_demo.system import Service, gateway_of, services, traffic
from clew_server.commands.options import DEMO_DATA, DashboardPort, OtlpPort
from clew_server.commands.up import start_collector, wait_until_ready
from clew_server.running import DataLock
from clew_server.serving import Collector, answers, listen
from clew_server.supervisor import ChildSpec, Supervisor

_NO_TRAFFIC: Final = 0.0


def demo(
    data: Annotated[
        Path,
        typer.Option("--data", metavar="DIR", help="Where the demo and what it tells are kept.", file_okay=False),
    ] = DEMO_DATA,
    port: DashboardPort = 8840,
    otlp_port: OtlpPort = 4318,
    shop_port: Annotated[
        int,
        typer.Option(
            min=0, max=65000, metavar="PORT", help="Port of the shop's gateway; the services take the next three."
        ),
    ] = 8850,
    rate: Annotated[
        float, typer.Option(min=0, max=1000, metavar="N", help="User actions a second; 0 makes none.")
    ] = 4.0,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Make the same traffic each time.")] = None,
) -> None:
    """Run a small shop of four services under real traffic, with clew watching it.

    Needs nothing else: no server, no account. Ctrl-C stops all of it.
    """
    config = CollectorConfig(data=data.absolute(), otlp_http_port=otlp_port, dashboard_port=port)
    lock = DataLock(config.data)
    collector = Collector(config)
    shop = services(config.data / "shop", collector.otlp_url, base_port=shop_port)
    for service in shop:
        _check_port(service)
    supervisor = Supervisor(say=lambda line: print(f"clew: {line}", file=sys.stderr, flush=True))
    supervisor.stop_on_signals()
    try:
        start_collector(collector, supervisor, lock)
        _open_shop(shop, supervisor, logs=config.data / "logs")
        if rate > _NO_TRAFFIC:
            customers = traffic(gateway_of(shop).url, rate_per_s=rate, seed=seed)
            _start(customers, supervisor, logs=config.data / "logs")
        if not supervisor.stopping:
            print(_welcome(collector, gateway_of(shop)), flush=True)
        status = supervisor.watch()
        if supervisor.stopping:
            print("\nclosing the shop", flush=True)
    finally:
        supervisor.stop()
        lock.release()
    raise typer.Exit(status)


def _check_port(service: Service) -> None:
    """Raise `ConfigError` now rather than have a service fail over and over."""
    if service.port is not None:
        listen("127.0.0.1", service.port, flag="--shop-port").close()


def _open_shop(shop: list[Service], supervisor: Supervisor, *, logs: Path) -> None:
    """Start the services, each after those that it asks, and wait until all answer."""
    for service in shop:
        _start(service, supervisor, logs=logs)
    for service in shop:
        wait_until_ready(
            supervisor,
            lambda url=f"{service.url}{service.health_path}": answers(url),  # type: ignore[misc]  # bound now, not later
            what=f"{service.name} (its lines are in {logs / service.name}.log)",
        )


def _start(service: Service, supervisor: Supervisor, *, logs: Path) -> None:
    logs.mkdir(mode=0o700, exist_ok=True)
    supervisor.start(
        ChildSpec(name=service.name, argv=service.argv, env=service.env, log_path=logs / f"{service.name}.log")
    )


def _welcome(collector: Collector, gateway: Service) -> str:
    return (
        f"The shop is open, customers are in it, and clew is watching.\n"
        f"\n"
        f"  Look first   {collector.dashboard_url}/requests\n"
        f"               the newest requests, live; click one to see it across four services\n"
        f"  A failure    {collector.dashboard_url}/requests?error=true\n"
        f"               payments that their provider refused: the error, its stack, and who felt it\n"
        f"  A slow one   {collector.dashboard_url}/requests?min_duration_ms=700\n"
        f"               large orders: look for the longest bar\n"
        f"  Make one     curl -i -H 'X-Request-ID: my-first-request' {gateway.url}/products/teapot-iron\n"
        f"               then open {collector.dashboard_url}/requests/my-first-request\n"
        f"               or run: {_command()} request my-first-request\n"
        f"\n"
        f"  OTLP/HTTP    {collector.otlp_url}\n"
        f"  Data, logs   {collector.config.data}\n"
        f"Ctrl-C stops all of it."
    )


def _command() -> str:
    """How this `clew` is called: by its name, or by its path where the name is not known to the shell."""
    return "clew" if shutil.which("clew") else sys.argv[0]
