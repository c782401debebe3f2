"""Options that several commands take."""

import os
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.models import OptionInfo

from clew_collector.config.collector import default_data
from clew_collector.config.yaml_file import load_config
from clew_server.running import find_running

DEFAULT_DATA: Final = default_data()
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


def _port(flag: str, what: str, *, default: str) -> OptionInfo:
    option: OptionInfo = typer.Option(
        flag, min=0, max=65535, metavar="PORT", help=f"{what}; 0 takes a free one.", show_default=default
    )
    return option


DashboardPort = Annotated[int | None, _port("--port", "Port of the dashboard", default="8840")]
OtlpPort = Annotated[int | None, _port("--otlp-port", "Port of OTLP over HTTP", default="4318")]
GrpcPort = Annotated[int | None, _port("--grpc-port", "Port of OTLP over gRPC", default="4317 if it is free")]
BulkPort = Annotated[
    int | None,
    _port(
        "--bulk-port",
        "Port on which documents are taken as by Elasticsearch's _bulk",
        default="9201 if it is free",
    ),
]
ZipkinPort = Annotated[
    int | None, _port("--zipkin-port", "Port on which Zipkin spans are taken", default="9411 if it is free")
]
SyslogPort = Annotated[
    int | None,
    _port("--syslog-port", "Port on which syslog is taken, UDP and TCP", default="5514 if it is free"),
]


CONFIG_VARIABLE: Final = "CLEW_CONFIG"
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar=CONFIG_VARIABLE,
        metavar="FILE",
        help="Settings; options that are given win over it.",
        show_default="clew.yaml in this directory, if there is one",
        dir_okay=False,
    ),
]
CONFIG_NAME: Final = "clew.yaml"


def found_config(given: Path | None) -> Path | None:
    """The file to go by: the given one, else one in this directory, else none."""
    return given or next((path for path in (Path(CONFIG_NAME),) if path.is_file()), None)


def overrides_of(**settings: object) -> dict[str, Any]:
    """Options that were given, nested as in clew.yaml: `receivers__zipkin__port=9411`."""
    nested: dict[str, Any] = {}
    for name, value in settings.items():
        if value is not None:
            *sections, key = name.split("__")
            section = nested
            for each in sections:
                section = section.setdefault(each, {})
            section[key] = value
    return nested


def asked_data(given: Path | None) -> Path:
    """The data directory that a command is about: the given one, else that of the clew.yaml that `clew up` would go by,
    else that of a running `clew up` or `clew demo`. Raises `ConfigError` if the file cannot be read."""
    if given is not None:
        return given.absolute()
    asked = os.environ.get(CONFIG_VARIABLE)
    if (path := found_config(Path(asked) if asked else None)) is not None:
        return load_config(path, environ=os.environ).data.absolute()
    return next((data for data in (DEFAULT_DATA, DEMO_DATA) if find_running(data) is not None), DEFAULT_DATA)
