"""`clew config`: check clew.yaml, show what it comes to, and say what can be in it."""

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from clew_collector.config import CollectorConfig
from clew_collector.config.reference import reference
from clew_collector.config.yaml_file import load_config
from clew_collector.errors import ConfigError
from clew_collector.tls import TlsConfig, server_context
from clew_server.commands.options import CONFIG_NAME, found_config
from clew_server.packages import check_installed

app = typer.Typer(help="Check clew.yaml, show what it comes to, and say what can be in it.", no_args_is_help=True)

AskedFile = Annotated[
    Path | None,
    typer.Argument(
        metavar="FILE",
        envvar="CLEW_CONFIG",
        help="The file; clew.yaml in this directory if it is not given.",
        show_default=False,
        dir_okay=False,
    ),
]


@app.command()
def check(file: AskedFile = None) -> None:
    """Read a file as `clew up` would, certificates too, and say what is wrong. Exits with 2 if anything is."""
    path = found_config(file)
    if path is None:
        raise ConfigError(f"there is no {CONFIG_NAME} in {Path.cwd()}: name a file")
    config = _read(path)
    for tls in _certificates(config):
        server_context(tls)
    check_installed(config)
    typer.echo(f"{path}: good")


@app.command()
def show(file: AskedFile = None) -> None:
    """Print all settings, those with their default, too; secrets are masked."""
    settings = json.loads(_read(found_config(file)).model_dump_json())
    typer.echo(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True), nl=False)


@app.command()
def docs() -> None:
    """Print the reference of all settings, as Markdown."""
    typer.echo(reference(), nl=False)


def _read(path: Path | None) -> CollectorConfig:
    return load_config(path, environ=os.environ)


def _certificates(settings: Any) -> list[TlsConfig]:
    """Every `tls` in the settings."""
    if isinstance(settings, TlsConfig):
        return [settings]
    inner = [getattr(settings, name) for name in getattr(type(settings), "model_fields", ())]
    items = settings if isinstance(settings, tuple | list) else inner
    return [tls for each in items for tls in _certificates(each)]
