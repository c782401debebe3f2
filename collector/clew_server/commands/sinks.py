"""`clew sinks`: how far the sinks are."""

from contextlib import closing
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from clew_collector.errors import ClewError, StoreUnavailable
from clew_collector.spool import STORE, Spool
from clew_server.commands.options import AskedData, asked_data
from clew_server.running import Running, find_running

_TIMEOUT_S = 10


def sinks(data: AskedData = None) -> None:
    """Show how far the store and each sink are: what waits, how late it is, and what is in the way."""
    directory = asked_data(data)
    running = find_running(directory)
    path = directory / "spool.sqlite"
    if not path.exists():
        raise ClewError(f"there is no data of clew in {directory}; --data names another directory")
    table = Table("to", "payloads waiting", "bytes", "late by", "now", box=None)
    if running is not None:
        for name, reader in _ask(running)["readers"].items():
            late = max(reader["lag_s"].values(), default=None)
            state = reader["outage"] or "takes records"
            table.add_row(name, f"{reader['payloads']:,}", f"{reader['bytes']:,}", _seconds(late), state)
    else:
        with closing(Spool(path)) as spool:
            for name in spool.readers() or [STORE]:
                depth = spool.depth(reader=name)
                table.add_row(name, f"{depth.payloads:,}", f"{depth.bytes:,}", "-", "clew is not running")
    Console(highlight=False, soft_wrap=True).print(table)


def _ask(running: Running) -> dict[str, Any]:
    try:
        answer = httpx.get(f"{running.dashboard_url}/health?format=json", timeout=_TIMEOUT_S).raise_for_status()
    except httpx.HTTPError as error:
        raise StoreUnavailable(f"the running clew does not answer: {error}") from error
    health: dict[str, Any] = answer.json()
    return health


def _seconds(late_s: float | None) -> str:
    return "-" if late_s is None else f"{late_s:,.1f} s"
