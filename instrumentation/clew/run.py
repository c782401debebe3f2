"""`clew run -- COMMAND`: start a Python service with clew switched on, without an edit to it.

The command takes this process's place, so signals and the exit status are its own. A `sitecustomize` of ours, which
every Python process that it starts finds on its PYTHONPATH, configures clew and instruments what is imported later.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Final, NoReturn

from clew.settings import Settings, read_settings

FOLDER: Final = str(Path(__file__).with_name("zero_code"))
USAGE_STATUS: Final = 2
NOT_EXECUTABLE_STATUS: Final = 126
NOT_FOUND_STATUS: Final = 127
"""As shells answer for a command that cannot be started: 126 and 127."""

PID_VARIABLE: Final = "CLEW_RUN_PID"
"""The process that the command became, by which it knows itself from all that it starts."""

_EPILOG: Final = """examples:
  clew run --service orders -- uvicorn app:app --workers 4
  clew run --service orders --endpoint http://collector:4318 -- gunicorn app:app
  clew run --service orders --set log_format=json -- python manage.py runserver

Every CLEW_* variable works as well. It has no effect on `python -I` and `python -E`, which ignore PYTHONPATH."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Become the command. Exits with 2 for wrong arguments, with 127 if there is no such command."""
    parser = _parser()
    given = parser.parse_args(sys.argv[1:] if arguments is None else arguments)
    command = given.command[1:] if given.command[:1] == ["--"] else given.command
    if not command:
        parser.error("which command? Such as: clew run -- uvicorn app:app")
    environ = dict(os.environ)
    try:
        set_variables(environ, given.set, service=given.service, endpoint=given.endpoint)
        read_settings({}, environ)
    except ValueError as error:
        parser.error(str(error).removeprefix("clew.configure: "))
    add_folder(environ)
    _become(command, environ)


def set_variables(
    environ: MutableMapping[str, str], pairs: Sequence[str], *, service: str | None, endpoint: str | None
) -> None:
    """Write the options as CLEW_* variables. Raises `ValueError` for what is no setting."""
    known = {setting.name for setting in fields(Settings)}
    for name, value in (("service", service), ("endpoint", endpoint)):
        if value is not None:
            environ[f"CLEW_{name.upper()}"] = value
    for pair in pairs:
        name, separator, value = pair.partition("=")
        name = name.strip().lower().replace("-", "_")
        if not separator:
            raise ValueError(f"--set takes name=value, got {pair!r}")
        if name not in known:
            raise ValueError(f"there is no setting {name!r}; there are {', '.join(sorted(known))}")
        environ[f"CLEW_{name.upper()}"] = value


def add_folder(environ: MutableMapping[str, str]) -> None:
    """Put our `sitecustomize` before all others on PYTHONPATH. Twice is the same as once."""
    # An empty part would be the current folder, which Python does not look into by itself.
    others = [part for part in environ.get("PYTHONPATH", "").split(os.pathsep) if part and part != FOLDER]
    environ["PYTHONPATH"] = os.pathsep.join([FOLDER, *others])
    environ[PID_VARIABLE] = str(os.getpid())


def _become(command: Sequence[str], environ: Mapping[str, str]) -> NoReturn:
    if shutil.which(command[0], mode=os.F_OK, path=environ.get("PATH")) is None:
        _fail(f"{command[0]}: command not found", NOT_FOUND_STATUS)
    try:
        os.execvpe(command[0], list(command), dict(environ))
    except OSError as error:
        _fail(f"{command[0]}: {error.strerror}", NOT_EXECUTABLE_STATUS)


def _fail(problem: str, status: int) -> NoReturn:
    print(f"clew run: {problem}", file=sys.stderr)
    raise SystemExit(status)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="clew run",
        usage="clew run [--service NAME] [--endpoint URL] [--set NAME=VALUE]... [--] COMMAND [ARGUMENT...]",
        description="Start a Python service with clew switched on, without an edit to it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--service", metavar="NAME", help="the service's name, as clew shows it")
    parser.add_argument("--endpoint", metavar="URL", help="the collector's base address")
    parser.add_argument(
        "--set", metavar="NAME=VALUE", action="append", default=[], help="any other setting; may be given again"
    )
    parser.add_argument("command", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser
