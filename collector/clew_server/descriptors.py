"""How many files and connections a process may have open at once."""

import resource
from contextlib import suppress
from typing import Final

_ENOUGH: Final = 1 << 20
"""Where there is no limit at all, some libraries walk over all that there could be."""


def allow_descriptors() -> None:
    """Let this process have as many open as the system allows it, without being asked: many begin with 1,024.

    Each connection of a sender is one, and each file that is followed.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
