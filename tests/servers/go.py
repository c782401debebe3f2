"""Programs in Go, from its module proxy: built once, and kept in the user's cache."""

import os
import shutil
import subprocess
from pathlib import Path

from tests.servers.artifacts import CACHE
from tests.servers.missing import ServerMissingError

_BUILD_TIMEOUT_S = 900
_INSTALLED_IN = "/usr/local/go/bin"
"""Where Go's own instructions put it, whether `PATH` names it or not."""


def built(module: str, version: str) -> Path:
    """The program that is the last part of a module's name, built if it is not there. Raises `ServerMissingError`."""
    name = module.rpartition("/")[2]
    program = CACHE / f"{name}-{version}" / name
    if program.exists():
        return program
    go = shutil.which("go") or shutil.which("go", path=_INSTALLED_IN)
    if go is None:
        raise ServerMissingError(f"{name} {version} is built with Go, which is not installed")
    command = [go, "install", f"{module}@v{version}"]
    env = {**os.environ, "GOBIN": str(program.parent)}
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=_BUILD_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise ServerMissingError(f"building {name} {version} took more than {_BUILD_TIMEOUT_S} s") from error
    if done.returncode != 0 or not program.exists():
        raise ServerMissingError(f"cannot build {name} {version}: {done.stderr.strip()[-300:]}")
    return program
