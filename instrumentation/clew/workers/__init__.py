"""Worker processes of servers: how they begin, and how they end without losing what they have finished."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from clew.workers import children, monkey_patching, servers, sigterm


def install(*, pausing: Callable[[], AbstractContextManager[None]]) -> None:
    """Set what has to be there before a server starts its workers, or ends. Once a process.

    Inside of `pausing()` there is no export thread.
    """
    sigterm.install()
    servers.install()
    monkey_patching.install(pausing)
    children.finish_at_end()
