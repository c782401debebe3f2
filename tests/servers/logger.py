"""util-linux's `logger`, which sends one line."""

import shutil
import subprocess

from tests.servers.missing import ServerMissingError


def find() -> str:
    """Path of the executable; another system's `logger` may know no servers. Raises `ServerMissingError`."""
    found = shutil.which("logger")
    if found is None:
        raise ServerMissingError("logger is not installed")
    told = subprocess.run([found, "--version"], capture_output=True, text=True).stdout
    if "util-linux" not in told:
        raise ServerMissingError(f"{found} is not util-linux's")
    return found
