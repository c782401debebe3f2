"""`clew demo fault`: break the running shop in a way whose truth is known, and mend it again."""

from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlencode

import typer

from clew_collector.errors import ConfigError
from clew_demo.faults.catalogue import FAULTS, Fault
from clew_demo.faults.switchboard import Switchboard
from clew_server.running import Running, find_running

_SHOP_FOLDER: Final = "shop-2"
"""In the data directory. The first shop, `shop`, had other tables."""


def shop_folder(data: Path) -> Path:
    """Where the shop of a demo keeps its databases and its planted faults."""
    return data / _SHOP_FOLDER


def fault(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="The fault; all are listed without it.")] = None,
    lift: Annotated[bool, typer.Option("--lift", help="Take the fault away instead.")] = False,
    lift_all: Annotated[bool, typer.Option("--lift-all", help="Take all faults away.")] = False,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="DIR", help="The data directory of the demo.", file_okay=False),
    ] = None,
) -> None:
    """Plant a fault in the running shop, or say which there are.

    The services notice within a second. `clew demo` starts without any.
    """
    if lift and name is None:
        raise ConfigError("which fault? clew demo fault NAME --lift, or --lift-all for all of them")
    if name is not None and name not in FAULTS:
        close = get_close_matches(name, FAULTS, n=1)
        hint = f"did you mean {close[0]}?" if close else "`clew demo fault` lists them"
        raise ConfigError(f"there is no fault {name!r}; {hint}")
    of_demo: Path = data or (context.parent or context).params["data"]
    running = find_running(of_demo.absolute())
    if running is None and (name or lift_all):
        raise ConfigError(f"no demo runs on {of_demo}; start one with `clew demo`, or choose --data")
    typer.echo(_act(Switchboard(shop_folder(of_demo)), running, name=name, lift=lift, lift_all=lift_all))


def _act(faults: Switchboard, running: Running | None, *, name: str | None, lift: bool, lift_all: bool) -> str:
    """Do what was asked for; what to say about it."""
    if lift_all:
        planted = list(faults.planted())
        faults.lift_all()
        return f"lifted {', '.join(planted)}" if planted else "nothing was planted"
    if name is None:
        return _list(faults.planted() if running else {})
    if lift:
        return f"lifted {name}" if faults.lift(name) else f"{name} was not planted"
    return _planted(FAULTS[name], faults.plant(name), dashboard_url=running.dashboard_url if running else "")


def _list(planted: dict[str, int]) -> str:
    lines = []
    for fault in FAULTS.values():
        since = f"   planted at {_time(planted[fault.name])}" if fault.name in planted else ""
        lines.append(f"{fault.name}{since}\n    {fault.service}: {fault.effect}")
    return "\n".join(lines)


def _planted(fault: Fault, since_ns: int, *, dashboard_url: str) -> str:
    query = urlencode({"service": fault.service, "from": since_ns})
    return (
        f"{fault.name} is planted in {fault.service} since {_time(since_ns)}\n"
        f"  What it does   {fault.effect}\n"
        f"  Where          {fault.operation}\n"
        f"  See it         {dashboard_url}/requests?{query}\n"
        f"  Lift it        clew demo fault {fault.name} --lift"
    )


def _time(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns // 1_000_000_000).strftime("%H:%M:%S")
