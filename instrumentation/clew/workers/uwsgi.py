"""uWSGI: it forks its workers in C, without telling Python, so that nothing registered for a fork is called there.

No thread may run before that: one that waits for the interpreter's lock at the moment of the fork leaves the lock's
condition variable, in the worker, with a waiter that is not there, and the worker hangs when it gives the lock away. An
app that is loaded before the fork (the default) has `uwsgi.post_fork_hook` called in each worker, which is where
exporting begins. uWSGI before 2.0.27 runs threads only with `--enable-threads`.
"""

import os
import sys
from collections.abc import Callable
from importlib.abc import MetaPathFinder
from typing import Any, Final

from clew.importing import when_imported

_HOOK: Final = "post_fork_hook"
_IN_A_CHILD: Final = ("worker_id", "mule_id", "i_am_the_spooler")


def install(after_fork: Callable[[], None]) -> None:
    """Call `after_fork` in each worker. Does nothing anywhere but in uWSGI; twice is the same as once."""
    if "uwsgi" in sys.modules:
        _chain(after_fork)
    elif _is_uwsgi() and not any(isinstance(f, _Wait) for f in sys.meta_path):
        sys.meta_path.insert(0, _Wait(after_fork))


def is_before_fork() -> bool:
    """Whether this is uWSGI's process before there are workers: the post-fork hook is still to come, here or there."""
    uwsgi = sys.modules.get("uwsgi")
    # Some of them are there only where there are mules or spoolers.
    return _is_uwsgi() if uwsgi is None else not any(getattr(uwsgi, tells, int)() for tells in _IN_A_CHILD)


def first_claim() -> Callable[[], bool]:
    """A claim that, of this process and all that are forked from it, only the first one makes with success."""
    read_end, write_end = os.pipe()
    os.write(write_end, b"!")
    os.set_blocking(read_end, False)

    def claim() -> bool:
        try:
            return os.read(read_end, 1) != b""
        except BlockingIOError:
            return False

    return claim


def _is_uwsgi() -> bool:
    return os.path.basename(sys.executable or "") == "uwsgi"


class _Wait(MetaPathFinder):
    """Finds nothing; notices at the next import that the module `uwsgi` is there, which is put there without one.

    It is not yet when a `sitecustomize` runs.
    """

    def __init__(self, after_fork: Callable[[], None]) -> None:
        self._after_fork = after_fork

    def find_spec(self, *_wanted: object) -> None:
        """Nothing, ever."""
        if "uwsgi" in sys.modules and self in sys.meta_path:
            sys.meta_path.remove(self)
            _chain(self._after_fork)
            if not is_before_fork():  # with lazy apps, this is the worker already
                self._after_fork()


def _chain(after_fork: Callable[[], None]) -> None:
    uwsgi: Any = sys.modules["uwsgi"]
    before = getattr(uwsgi, _HOOK, None)
    if getattr(before, "_clew_wrapped", False):
        return

    def post_fork_hook() -> None:
        after_fork()
        if before is not None:
            before()

    post_fork_hook._clew_wrapped = True  # type: ignore[attr-defined]
    setattr(uwsgi, _HOOK, post_fork_hook)
    # It sets a hook of its own when it is imported, and forgets the one before.
    if "uwsgidecorators" not in sys.modules:
        when_imported("uwsgidecorators", lambda: _chain(after_fork))
