"""telemetrygen, the OpenTelemetry Collector's generator of load: Go's SDK and its exporters. Built once."""

import os
import shutil
import subprocess
from pathlib import Path

from tests.servers.artifacts import CACHE
from tests.servers.missing import ServerMissingError

VERSION = "0.160.0"
PROGRAM = CACHE / f"telemetrygen-{VERSION}" / "telemetrygen"
_MODULE = "github.com/open-telemetry/opentelemetry-collector-contrib/cmd/telemetrygen"
_BUILD_TIMEOUT_S = 900
_INSTALLED_IN = "/usr/local/go/bin"
"""Where Go's own instructions put it, whether `PATH` names it or not."""


def find() -> Path:
    """The program, built if it is not there. Raises `ServerMissingError`."""
    if PROGRAM.exists():
        return PROGRAM
    go = shutil.which("go") or shutil.which("go", path=_INSTALLED_IN)
    if go is None:
        raise ServerMissingError(f"telemetrygen {VERSION} is built with Go, which is not installed")
    command = [go, "install", f"{_MODULE}@v{VERSION}"]
    env = {**os.environ, "GOBIN": str(PROGRAM.parent)}
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=_BUILD_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise ServerMissingError(f"building telemetrygen {VERSION} took more than {_BUILD_TIMEOUT_S} s") from error
    if done.returncode != 0 or not PROGRAM.exists():
        raise ServerMissingError(f"cannot build telemetrygen {VERSION}: {done.stderr.strip()[-300:]}")
    return PROGRAM
