"""uWSGI: it forks its workers in C, without telling Python, so that nothing registered for a fork is called there.

An app that is loaded before the fork (the default) has `uwsgi.post_fork_hook` called in each worker, which is where
exporting begins anew. uWSGI before 2.0.27 runs threads only with `--enable-threads`.
"""

import os
import sys
from collections.abc import Callable
from importlib.abc import MetaPathFinder
from typing import Any, Final

from clew.importing import when_imported

_HOOK: Final = "post_fork_hook"


def install(after_fork: Callable[[], None]) -> None:
    """Call `after_fork` in each worker. Does nothing anywhere but in uWSGI; twice is the same as once."""
    if "uwsgi" in sys.modules:
        _chain(after_fork)
    elif os.path.basename(sys.executable or "") == "uwsgi" and not any(isinstance(f, _Wait) for f in sys.meta_path):
        sys.meta_path.insert(0, _Wait(after_fork))


class _Wait(MetaPathFinder):
    """Finds nothing; notices at the next import that the module `uwsgi` is there, which is put there without one.

    It is not yet when a `sitecustomize` runs.
    """

    def __init__(self, after_fork: Callable[[], None]) -> None:
        self._after_fork = after_fork
        self._pid = os.getpid()

    def find_spec(self, *_wanted: object) -> None:
        """Nothing, ever."""
        if "uwsgi" in sys.modules and self in sys.meta_path:
            sys.meta_path.remove(self)
            _chain(self._after_fork)
            if os.getpid() != self._pid:  # with lazy apps, this is the worker already
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
