"""An installed Chromium, driven by Playwright."""

import os
import shutil

from tests.servers.missing import ServerMissingError

EXECUTABLE_VARIABLE = "CLEW_TEST_CHROMIUM"
NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
# No sandbox: root has none, and only pages of our own are opened. The rest keeps it from calling home.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def find() -> str:
    """Path of the executable. Raises `ServerMissingError`."""
    given = os.environ.get(EXECUTABLE_VARIABLE)
    found = given or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        raise ServerMissingError(f"none of {', '.join(NAMES)} is installed")
    return found
