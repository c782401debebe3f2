"""Servers as processes: on a free port, in a group of their own, ready before they are used, ended as a group."""

import contextlib
import os
import random
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
from typing import IO

from tests.servers.guard import end_group
from tests.servers.missing import ServerMissingError

READY_TIMEOUT_S = 90.0
LOG_TAIL_LINES = 15
GUARD = Path(__file__).with_name("guard.py")
# Linux hands out 32768 and above to outgoing connections: such a port may be gone before its server has started.
PORTS = range(20_000, 32_000)


@dataclass(frozen=True)
class Server:
    """A server that answers. `pid` is 0 for one that was not started here."""

    url: str
    pid: int = 0


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on now."""
    while True:
        port = random.choice(PORTS)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


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
    with _guarded(folder) as guard, log.open("wb") as output:
        process = subprocess.Popen(
            list(argv),
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
            cwd=folder,
        )
        try:
            guard.write(str(process.pid).encode())
            guard.flush()
            _wait_until_ready(process, name=name, is_ready=is_ready, log=log)
            yield process.pid
        finally:
            end_group(process.pid)
            process.wait()


@contextmanager
def _guarded(folder: Path) -> Iterator[IO[bytes]]:
    """The pipe to a guard of a process group whose number is written into it (see guard.py)."""
    argv = [sys.executable, "-I", str(GUARD), str(folder)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, start_new_session=True) as guard:
        assert guard.stdin is not None
        yield guard.stdin
        guard.kill()  # not needed: the server was ended here, in order


# A proxy that the environment names is not for 127.0.0.1.
_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


def answers_http(url: str) -> Callable[[], bool]:
    """Whether a GET of this address is answered with 200."""

    def probe() -> bool:
        try:
            with _open(url, timeout=5) as response:
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
