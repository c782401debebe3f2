"""`clew up`: the collector and the dashboard."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

import typer

from clew_collector.config import CollectorConfig
from clew_collector.errors import ClewError
from clew_server.commands.options import DEFAULT_DATA, DashboardPort, OtlpPort, SyslogPort, ZipkinPort
from clew_server.process import CONFIG_ERROR_STATUS
from clew_server.running import DataLock
from clew_server.serving import Collector
from clew_server.supervisor import Supervisor

_READY_TIMEOUT_S: Final = 60.0
_READY_INTERVAL_S: Final = 0.1


def up(
    data: Annotated[
        Path,
        typer.Option(
            "--data", envvar="CLEW_DATA", metavar="DIR", help="Where logs and spans are kept.", file_okay=False
        ),
    ] = DEFAULT_DATA,
    port: DashboardPort = 8840,
    otlp_port: OtlpPort = 4318,
    zipkin_port: ZipkinPort = None,
    syslog_port: SyslogPort = None,
    syslog_ids_in_text: Annotated[
        bool,
        typer.Option(
            "--syslog-ids-in-text",
            help="Look for trace_id=..., request_id=... in the text of syslog lines, not in structured data only.",
        ),
    ] = False,
    otlp_host: Annotated[
        str,
        typer.Option(
            metavar="HOST",
            help="Address on which logs and traces are taken; 0.0.0.0 for all. There is no login yet: keep it private.",
        ),
    ] = "127.0.0.1",
    max_body_mib: Annotated[
        int, typer.Option("--max-body-mib", min=1, max=1024, metavar="MIB", help="Largest body that is taken.")
    ] = 16,
) -> None:
    """Take logs and traces, keep them, and show them in the browser.

    Point any OpenTelemetry exporter (OTLP over HTTP) or Zipkin reporter at the printed address, or instrument a service
    with clew. The dashboard listens on this machine only. Ctrl-C stops everything; what was acknowledged is on disk.
    """
    config = CollectorConfig(
        data=data.absolute(),
        otlp_host=otlp_host,
        otlp_http_port=otlp_port,
        zipkin_port=zipkin_port,
        syslog_port=syslog_port,
        syslog_ids_in_text=syslog_ids_in_text,
        dashboard_port=port,
        max_body_bytes=max_body_mib << 20,
    )
    lock = DataLock(config.data)
    collector = Collector(config)
    supervisor = Supervisor(say=lambda line: print(f"clew: {line}", file=sys.stderr, flush=True))
    supervisor.stop_on_signals()
    try:
        start_collector(collector, supervisor, lock)
        if not supervisor.stopping:
            print(addresses(collector), flush=True)
        status = supervisor.watch()
        if supervisor.stopping:
            print("\nstopping; what was acknowledged is on disk", flush=True)
    finally:
        supervisor.stop()
        lock.release()
    raise typer.Exit(status)


def start_collector(collector: Collector, supervisor: Supervisor, lock: DataLock) -> None:
    """Start a collector and wait until it answers.

    Exits with status 2 if a process cannot use what it was given; raises `ClewError` if it does not come up in time.
    """
    collector.start(supervisor)
    wait_until_ready(supervisor, collector.is_ready, what="the collector")
    lock.announce(dashboard_url=collector.dashboard_url, otlp_url=collector.otlp_url)


def wait_until_ready(supervisor: Supervisor, is_ready: Callable[[], bool], *, what: str) -> None:
    """Watch children until `is_ready`; see `start_collector`."""
    deadline_s = time.monotonic() + _READY_TIMEOUT_S

    def settled() -> bool:
        time.sleep(_READY_INTERVAL_S)
        return time.monotonic() > deadline_s or is_ready()

    if supervisor.watch(until=settled) == CONFIG_ERROR_STATUS:
        raise typer.Exit(CONFIG_ERROR_STATUS)
    if not supervisor.stopping and not is_ready():
        raise ClewError(f"{what} did not answer within {_READY_TIMEOUT_S:g} s; its lines above may say why")


def addresses(collector: Collector) -> str:
    """Where to click, where to send, where the data lies."""
    ways_in = "".join(f"  {line}\n" for line in collector.listener_lines(width=12))
    return (
        f"clew is up\n"
        f"  dashboard   {collector.dashboard_url}\n"
        f"{ways_in}"
        f"  data        {collector.config.data}\n"
        f"Ctrl-C stops it."
    )
