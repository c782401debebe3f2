"""A disk that is soon full."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.missing import ServerMissingError

_PIECE_BYTES = 64 << 10


@contextmanager
def small_disk(folder: Path, *, size_bytes: int) -> Iterator[Path]:
    """A file system of this size, in memory, on an empty folder. Raises `ServerMissingError` if it cannot be had."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes},mode=0700", "clew-test", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except OSError as error:
        raise ServerMissingError(f"mount cannot be run: {error}") from error
    if done.returncode != 0:
        raise ServerMissingError(f"no small disk can be mounted, which root may: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, timeout=30)


def fill(ballast: Path, *, leave_bytes: int = 0) -> None:
    """Write a file until the disk that it is on has this much left, and no more."""
    with ballast.open("ab", buffering=0) as file:
        while (left := _free_bytes(ballast.parent) - leave_bytes) > 0:
            try:
                os.write(file.fileno(), b"\0" * min(left, _PIECE_BYTES))
            except OSError:  # somebody else was faster
                return


def _free_bytes(folder: Path) -> int:
    told = os.statvfs(folder)
    return told.f_bavail * told.f_frsize
