"""logrotate, which is in a folder that is not on every user's path."""

import os
import shutil
from pathlib import Path

from tests.servers import debian

_PACKAGE = "logrotate"
_SYSTEM_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"))


def fetched() -> Path:
    """The folder with Debian's package, fetched if it is not there. Raises `ServerMissingError`."""
    return debian.unpacked(_PACKAGE)


def find() -> str:
    """Path of the executable: what is installed, else Debian's. Raises `ServerMissingError`."""
    return shutil.which("logrotate", path=_SYSTEM_PATH) or str(fetched() / "usr/sbin/logrotate")
