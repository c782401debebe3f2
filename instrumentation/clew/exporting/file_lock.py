"""A lock on a file that the kernel takes back from a process that dies."""

import fcntl
import os
from contextlib import suppress


class FileLock:
    """An open file and the lock on it; `locks` is who holds it, as long as the file is open."""

    def __init__(self, fd: int, locks: "set[FileLock]") -> None:
        self.fd = fd
        self._locks = locks
        locks.add(self)

    def take(self) -> None:
        """Lock the file. Raises `BlockingIOError` if somebody else has."""
        fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def release(self) -> None:
        """Unlock and close the file."""
        # Closing alone would leave it locked by a child that was forked meanwhile.
        with suppress(OSError):
            fcntl.flock(self.fd, fcntl.LOCK_UN)
        self.leave()

    def leave(self) -> None:
        """Close the file without unlocking it."""
        self._locks.discard(self)
        try:
            os.close(self.fd)
        except OSError:
            return
