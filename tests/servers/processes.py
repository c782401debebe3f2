"""Servers as processes: on a free port, in a group of their own, ready before they are used, ended as a group."""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers.missing import ServerMissingError

READY_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 10.0
LOG_TAIL_LINES = 15
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Server:
    """A server that answers. `pid` is 0 for one that was not started here."""

    url: str
    pid: int = 0


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def temporary_folder(name: str, *, owner: int | None = None) -> Iterator[Path]:
    """A folder that is gone afterwards, owned by a user whose number is given."""
    with tempfile.TemporaryDirectory(prefix=f"clew-{name}-", ignore_cleanup_errors=True) as folder:
        path = Path(folder)
        if owner is not None:
            os.chown(path, owner, owner)
        yield path


@contextmanager
def running(
    argv: Sequence[str],
    *,
    name: str,
    is_ready: Callable[[], bool],
    folder: Path,
    env: Mapping[str, str] | None = None,
    user: int | None = None,
) -> Iterator[int]:
    """A process and its children, from when it is ready; its process ID.

    It ends with the tests, however they end: with its group at the end of the block, and with this process when that
    is killed. Raises `ServerMissingError` with the end of its log if it does not get ready.
    """
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            list(argv),
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=user,
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,
            cwd=folder,
        )
    try:
        _wait_until_ready(process, name=name, is_ready=is_ready, log=log)
        yield process.pid
    finally:
        _end_group(process)


def answers_http(url: str) -> Callable[[], bool]:
    """Whether a GET of this address is answered with 200."""

    def probe() -> bool:
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                return bool(response.status == 200)
        except OSError:
            return False

    return probe


def _wait_until_ready(
    process: "subprocess.Popen[bytes]", *, name: str, is_ready: Callable[[], bool], log: Path
) -> None:
    deadline_s = time.monotonic() + READY_TIMEOUT_S
    while not is_ready():
        if process.poll() is not None or time.monotonic() > deadline_s:
            state = "did not get ready" if process.poll() is None else f"ended with status {process.returncode}"
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:])
            raise ServerMissingError(f"{name} {state}; its last lines:\n{tail}")
        time.sleep(0.1)


def _end_group(process: "subprocess.Popen[bytes]") -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        deadline_s = time.monotonic() + STOP_TIMEOUT_S
        while _group_lives(process) and time.monotonic() < deadline_s:
            time.sleep(0.05)


def _group_lives(process: "subprocess.Popen[bytes]") -> bool:
    process.poll()
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
