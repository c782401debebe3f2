"""`clew up`: the collector and the dashboard."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

import typer

from clew_collector.config import CollectorConfig
from clew_collector.config.yaml_file import load_config
from clew_collector.errors import ClewError, ConfigError
from clew_server.commands.options import (
    DEFAULT_DATA,
    BulkPort,
    ConfigFile,
    DashboardPort,
    GrpcPort,
    OtlpPort,
    SyslogPort,
    ZipkinPort,
    found_config,
    overrides_of,
)
from clew_server.process import CONFIG_ERROR_STATUS
from clew_server.running import DataLock
from clew_server.serving import Collector
from clew_server.supervisor import Supervisor

_READY_TIMEOUT_S: Final = 60.0
_READY_INTERVAL_S: Final = 0.1


def up(
    config_file: ConfigFile = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            envvar="CLEW_DATA",
            metavar="DIR",
            help="Where logs and spans are kept.",
            show_default=str(DEFAULT_DATA),
            file_okay=False,
        ),
    ] = None,
    port: DashboardPort = None,
    otlp_port: OtlpPort = None,
    grpc_port: GrpcPort = None,
    zipkin_port: ZipkinPort = None,
    bulk_port: BulkPort = None,
    syslog_port: SyslogPort = None,
    syslog_ids_in_text: Annotated[
        bool | None,
        typer.Option(
            "--syslog-ids-in-text",
            help="Look for trace_id=..., request_id=... in the text of syslog lines, not in structured data only.",
            show_default=False,
        ),
    ] = None,
    otlp_host: Annotated[
        str | None,
        typer.Option(
            metavar="HOST",
            help="Address on which OTLP is taken, over HTTP and gRPC; 0.0.0.0 for all of this machine's.",
            show_default="127.0.0.1",
        ),
    ] = None,
    max_body_mib: Annotated[
        int | None,
        typer.Option(
            "--max-body-mib",
            min=1,
            max=1024,
            metavar="MIB",
            help="Largest body that is taken of OTLP and Zipkin.",
            show_default="16",
        ),
    ] = None,
) -> None:
    """Take logs and traces, keep them, and show them in the browser.

    Point OpenTelemetry exporters, Zipkin reporters, log shippers and syslog at the printed addresses, or instrument a
    service with clew. Log files and Kafka's topics are read if clew.yaml names them.

    All of it listens on this machine only, unless you say otherwise. Ctrl-C stops everything; what was acknowledged is
    on disk. SIGHUP reads the settings again.
    """
    max_body_bytes = None if max_body_mib is None else max_body_mib << 20
    overrides = overrides_of(
        data=data,
        dashboard__port=port,
        receivers__otlp_http__port=otlp_port,
        receivers__otlp_http__host=otlp_host,
        receivers__otlp_http__max_body_bytes=max_body_bytes,
        receivers__otlp_grpc__port=grpc_port,
        receivers__otlp_grpc__host=otlp_host,
        receivers__otlp_grpc__max_body_bytes=max_body_bytes,
        receivers__zipkin__port=zipkin_port,
        receivers__elastic_bulk__port=bulk_port,
        receivers__zipkin__max_body_bytes=max_body_bytes,
        receivers__syslog__port=syslog_port,
        receivers__syslog__ids_in_text=syslog_ids_in_text,
    )
    path = found_config(config_file)

    def read() -> CollectorConfig:
        config = load_config(path, environ=os.environ, overrides=overrides)
        return config.model_copy(update={"data": config.data.absolute()})

    config = read()
    lock = DataLock(config.data)
    collector = Collector(config)
    supervisor = Supervisor(say=_say)
    supervisor.stop_on_signals()
    supervisor.reload_on_hangup(lambda: _reload(collector, read, supervisor))
    try:
        start_collector(collector, supervisor, lock)
        if not supervisor.stopping:
            print(addresses(collector, path), flush=True)
        status = supervisor.watch()
        if supervisor.stopping:
            print("\nstopping; what was acknowledged is on disk", flush=True)
    finally:
        supervisor.stop()
        lock.release()
    raise typer.Exit(status)


def _say(line: str) -> None:
    print(f"clew: {line}", file=sys.stderr, flush=True)


def _reload(collector: Collector, read: Callable[[], CollectorConfig], supervisor: Supervisor) -> None:
    try:
        collector.reload(read(), supervisor)
    except ConfigError as error:
        _say(f"goes on with the settings before: {error}")
        return
    _say("goes on with the settings as they are now")


def start_collector(collector: Collector, supervisor: Supervisor, lock: DataLock) -> None:
    """Start a collector and wait until it answers.

    Exits with status 2 if a process cannot use what it was given; raises `ClewError` if it does not come up in time.
    """
    collector.start(supervisor)
    wait_until_ready(supervisor, collector.is_ready, what="the collector")
    lock.announce(dashboard_url=collector.dashboard_url, otlp_url=collector.otlp_url, key=collector.own_key)


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


def addresses(collector: Collector, config_path: Path | None = None) -> str:
    """Where to click, where to send, where the data lies."""
    ways_in = "".join(f"  {line}\n" for line in collector.listener_lines(width=12))
    settings = "" if config_path is None else f"  settings    {config_path.absolute()}\n"
    return (
        f"clew is up\n"
        f"  dashboard   {collector.dashboard_url}\n"
        f"{ways_in}"
        f"{settings}"
        f"  data        {collector.config.data}\n"
        f"Ctrl-C stops it."
    )
