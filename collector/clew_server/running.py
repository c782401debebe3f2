"""Which `clew up` holds a data directory, and where it can be asked.

A lock on `clew.lock` says that one runs; the file's content says where. The lock goes with the process, however it
ends, so that nothing stale has to be cleaned up.
"""

import fcntl
import json
import os
from pathlib import Path
from typing import Final

from clew_collector.errors import ConfigError
from clew_collector.model import record

_LOCK_NAME: Final = "clew.lock"


@record
class Running:
    """A `clew up` that runs: its process, its addresses, and a key to send with if one is asked for."""

    pid: int
    dashboard_url: str
    otlp_url: str
    key: str = ""


class DataLock:
    """The right to write to a data directory, held until `release` or the end of the process.

    Makes the directory, mode 0700, if it is missing. Raises `ConfigError` if it cannot be used or another process
    has it.
    """

    def __init__(self, data: Path) -> None:
        self.data = data
        try:
            data.mkdir(mode=0o700, parents=True, exist_ok=True)
            # A key may be in it.
            descriptor = os.open(data / _LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            self._file = os.fdopen(descriptor, "a+")
        except OSError as error:
            raise ConfigError(f"cannot use the data directory {data}: {error.strerror or error}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigError(f"the data directory {data} is in use by {_holder(data)}") from error

    def announce(self, *, dashboard_url: str, otlp_url: str, key: str = "") -> None:
        """Let commands know where to ask, and with which key if one is asked for."""
        self._file.seek(0)
        self._file.truncate()
        running = {"pid": os.getpid(), "dashboard_url": dashboard_url, "otlp_url": otlp_url, "key": key}
        json.dump(running, self._file)
        self._file.flush()

    def release(self) -> None:
        """Let another process have the directory."""
        self._file.seek(0)
        self._file.truncate()
        self._file.close()


def find_running(data: Path) -> Running | None:
    """The `clew up` on this data directory; `None` if nothing holds it or it is not ready yet."""
    try:
        file = (data / _LOCK_NAME).open()
    except OSError:
        return None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return _read(file.read())
    return None


def _read(text: str) -> Running | None:
    try:
        return Running(**json.loads(text))
    except (ValueError, TypeError):
        return None


def _holder(data: Path) -> str:
    try:
        running = _read((data / _LOCK_NAME).read_text())
    except OSError:
        running = None
    return "another clew" if running is None else f"another clew (process {running.pid}, {running.dashboard_url})"
