"""`clew demo`: a shop of four services with traffic, and clew watching it."""

import tempfile
from pathlib import Path
from typing import Annotated, Final

import typer

from clew_server.commands.options import DashboardPort, OtlpPort

_DEMO_DATA: Final = Path(tempfile.gettempdir()) / "clew-demo"


def demo(
    data: Annotated[
        Path, typer.Option("--data", metavar="DIR", help="Where the demo keeps everything.", file_okay=False)
    ] = _DEMO_DATA,
    port: DashboardPort = 8840,
    otlp_port: OtlpPort = 4318,
    shop_port: Annotated[
        int, typer.Option(min=1, max=65000, metavar="PORT", help="Port of the shop's gateway; services take the next.")
    ] = 8850,
    rate: Annotated[
        float, typer.Option(min=0, metavar="N", help="User actions a second that the traffic makes; 0 for none.")
    ] = 4.0,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Make the same traffic every time.")] = None,
) -> None:
    """Run a small shop of four services under real traffic, with clew watching it.

    Nothing else is needed: no server, no account. Ctrl-C stops all of it.
    """
    raise NotImplementedError
