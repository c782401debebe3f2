"""Options that several commands take."""

from pathlib import Path
from typing import Annotated, Final

import platformdirs
import typer

from clew_server.running import find_running

DEFAULT_DATA: Final = Path(platformdirs.user_data_dir("clew", appauthor=False))
DEMO_DATA: Final = DEFAULT_DATA.with_name("clew-demo")

AskedData = Annotated[
    Path | None,
    typer.Option(
        "--data",
        envvar="CLEW_DATA",
        metavar="DIR",
        help="The data directory; that of the running clew if this is not given.",
        show_default=False,
        file_okay=False,
    ),
]
DashboardPort = Annotated[
    int, typer.Option("--port", min=0, max=65535, metavar="PORT", help="Port of the dashboard; 0 takes a free one.")
]
OtlpPort = Annotated[
    int,
    typer.Option("--otlp-port", min=0, max=65535, metavar="PORT", help="Port of OTLP over HTTP; 0 takes a free one."),
]
ZipkinPort = Annotated[
    int | None,
    typer.Option(
        "--zipkin-port",
        min=0,
        max=65535,
        metavar="PORT",
        help="Port on which Zipkin spans are taken; 0 takes a free one.",
        show_default="9411 if it is free",
    ),
]
SyslogPort = Annotated[
    int | None,
    typer.Option(
        "--syslog-port",
        min=0,
        max=65535,
        metavar="PORT",
        help="Port on which syslog is taken, UDP and TCP; 0 takes a free one.",
        show_default="5514 if it is free",
    ),
]


def asked_data(given: Path | None) -> Path:
    """The data directory that a command is about: the given one, else that of a running `clew up` or `clew demo`."""
    if given is not None:
        return given.absolute()
    return next((data for data in (DEFAULT_DATA, DEMO_DATA) if find_running(data) is not None), DEFAULT_DATA)
