"""The kernel's buffer of a UDP socket: what does not fit in there is gone before anybody sees it."""

import os
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

_SO_RCVBUFFORCE: Final = 33
"""Linux, socket(7): as SO_RCVBUF, beyond net.core.rmem_max; needs CAP_NET_ADMIN."""

_TABLES: Final = (Path("/proc/net/udp"), Path("/proc/net/udp6"))


def grow_receive_buffer(datagrams: socket.socket, wanted_bytes: int) -> int:
    """Ask for a buffer of so many bytes and return how many there are now."""
    is_linux = sys.platform == "linux"
    with suppress(OSError):
        datagrams.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, wanted_bytes)
    if is_linux and _size(datagrams) < wanted_bytes:
        with suppress(OSError):
            datagrams.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, wanted_bytes)
    return _size(datagrams)


def kernel_drops(datagrams: socket.socket) -> int:
    """How many datagrams the kernel has dropped for this socket since it was made; 0 where it does not say.

    Reads a file in /proc (proc_net(5)): a fraction of a millisecond.
    """
    inode = str(os.fstat(datagrams.fileno()).st_ino)
    for table in _TABLES:
        with suppress(OSError, ValueError, IndexError):
            for line in table.read_text().splitlines()[1:]:
                fields = line.split()
                if fields[9] == inode:
                    return int(fields[-1])
    return 0


def _size(datagrams: socket.socket) -> int:
    size = datagrams.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    return size // 2 if sys.platform == "linux" else size  # Linux doubles it for its own bookkeeping, socket(7)
