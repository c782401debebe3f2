"""The `clew` command."""

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from clew import run
from clew_collector.errors import ClewError, ConfigError
from clew_server.commands import config, dead_letters, demo, keys, sinks
from clew_server.commands.import_files import import_files
from clew_server.commands.process import process
from clew_server.commands.show_request import show_request
from clew_server.commands.up import up
from clew_server.process import CONFIG_ERROR_STATUS

app = typer.Typer(
    name="clew",
    help="Follow one request through every service: what ran, what it logged, where the time went, why it failed.",
    epilog="Start with `clew demo`, or `clew up` and point any OpenTelemetry exporter at http://127.0.0.1:4318.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("up")(up)
app.add_typer(demo.app, name="demo")
app.command("import")(import_files)
app.command("request")(show_request)
app.command("process")(process)
app.add_typer(sinks.app, name="sinks")
app.add_typer(config.app, name="config")
app.add_typer(dead_letters.app, name="deadletter")
app.add_typer(keys.app, name="keys")


@app.command("run", add_help_option=False, context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
def run_command(context: typer.Context) -> None:
    """Start a Python service with clew switched on, without an edit to it."""
    # Listed here for `clew --help`; `clew_server.entry` runs it without these packages.
    run.main(context.args)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"clew {version('clew')}")
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Take what belongs to no one command."""


def main() -> None:
    """Run a command. Exits with 2 for what a person has to change first, 1 for what failed."""
    try:
        app()
    except ConfigError as error:
        print(f"clew: {error}", file=sys.stderr)
        raise SystemExit(CONFIG_ERROR_STATUS) from None
    except ClewError as error:
        print(f"clew: {error}", file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
