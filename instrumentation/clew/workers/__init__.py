"""Worker processes of servers: how they begin, and how they end without losing what they have finished."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from clew.workers import children, monkey_patching, servers, sigterm, uwsgi


def install(*, after_fork: Callable[[], None], pausing: Callable[[], AbstractContextManager[None]]) -> None:
    """Set what has to be there before a server starts its workers, or ends. Once a process.

    `after_fork` is called in workers that were forked without Python's knowledge; inside of `pausing()` there is no
    export thread.
    """
    sigterm.install()
    servers.install()
    uwsgi.install(after_fork)
    monkey_patching.install(pausing)
    children.finish_at_end()
