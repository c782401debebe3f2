"""Options that several commands take."""

from pathlib import Path
from typing import Annotated

import platformdirs
import typer

DEFAULT_DATA = Path(platformdirs.user_data_dir("clew", appauthor=False))

Data = Annotated[
    Path,
    typer.Option(
        "--data",
        envvar="CLEW_DATA",
        metavar="DIR",
        help="Where logs and spans are kept.",
        show_default=str(DEFAULT_DATA),
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
