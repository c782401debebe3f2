"""Children of `multiprocessing` and of Celery's `billiard`: they end by `os._exit`, without `atexit`."""

import sys
from functools import partial
from typing import Final

from clew.workers.ending import ENDING

_UTILS: Final = ("multiprocessing.util", "billiard.util")


def finish_at_end() -> None:
    """In a child of `multiprocessing` that is configured there: send what is left when it ends."""
    processes = sys.modules.get("multiprocessing.process")
    if processes is not None and processes.parent_process() is not None:
        _finish_by("multiprocessing.util")


def finish_at_end_of_fork() -> None:
    """The same in a child that is on its way: it forgets what was to be done at its parent's end after this."""
    for name in _UTILS:
        if name in sys.modules:
            sys.modules[name].register_after_fork(ENDING, _FINISH_BY[name])


def _finish_by(name: str, _ending: object = None) -> None:
    # Any priority will do: without one it is not called when the child ends.
    sys.modules[name].Finalize(None, ENDING.finish, exitpriority=0)


_FINISH_BY: Final = {name: partial(_finish_by, name) for name in _UTILS}
