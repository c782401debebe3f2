"""`clew process`: see what the processors of a clew.yaml make of records."""

import os
import shutil
import sys
import tempfile

import orjson
import typer
from rich.console import Console

from clew_collector.config.yaml_file import load_config
from clew_collector.errors import ConfigError
from clew_collector.processors.config import compose
from clew_collector.processors.trying import Trial
from clew_server.commands.options import CONFIG_NAME, ConfigFile, found_config


def process(config_file: ConfigFile = None) -> None:
    """Read records from standard input, as `clew import` takes them, and print what is left of each as JSON.

    What was dropped, by which processor and why, goes to standard error. Exits with 1 if anything could not be read.
    Nothing is stored.
    """
    path = found_config(config_file)
    if path is None:
        raise ConfigError(f"there is no {CONFIG_NAME} in this directory: name one with --config")
    config = load_config(path, environ=os.environ)
    console = Console(stderr=True, highlight=False)
    if not config.processors:
        console.print(f"{path} has no processors: all is kept as it is", soft_wrap=True)
    if sys.stdin.isatty():
        console.print("reading from the terminal; end with Ctrl-D")
    trial = Trial(compose(config.processors))
    with tempfile.SpooledTemporaryFile(max_size=64 << 20) as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
        file.seek(0)
        for each in trial.records(file):
            sys.stdout.buffer.write(orjson.dumps(each, option=orjson.OPT_APPEND_NEWLINE))
    summary = trial.summary()
    console.print(f"read {summary['read']:,} records, kept {summary['kept']:,}")
    for drop in summary["dropped"]:
        why = f"{drop['processor']}: {drop['reason']}"
        console.print(f"dropped {drop['records']:,} of {drop['service']} ({why})", markup=False, soft_wrap=True)
    for refusal in summary["refused"]:
        console.print(f"refused {refusal['place']}: {refusal['reason']}", markup=False, soft_wrap=True)
    raise typer.Exit(1 if summary["refused"] else 0)
