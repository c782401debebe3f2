"""Runs a process of clew that kills itself, once, at an exact point.

`python -m tests.journeys.killers MODULE CONFIG_FD NAME=SOCKET_FD...` runs the module's `main`. The environment names
the point, at which passage to strike, and a file that says that it has been done, so that the process which the
supervisor starts next lives.
"""

import importlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from clew_collector.spool import Spool
from clew_collector.stores.duckdb import write

POINT, PASSAGE, DONE = "CLEW_TEST_KILL_POINT", "CLEW_TEST_KILL_PASSAGE", "CLEW_TEST_KILL_DONE"


class Killer:
    """Wraps a function so that the process dies before or after one of its calls."""

    def __init__(self, passage: int, done: Path) -> None:
        self._left = passage
        self._done = done

    def before(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self._strike()
            return function(*args, **kwargs)

        return call

    def after(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            result = function(*args, **kwargs)
            self._strike()
            return result

        return call

    def _strike(self) -> None:
        self._left -= 1
        if self._left == 0:
            self._done.touch()
            os.kill(os.getpid(), signal.SIGKILL)


# Each is armed in the process that passes it under load: the intake appends, the store writes and deletes.
POINTS: dict[str, tuple[str, Callable[[Killer], None]]] = {
    "before the spool's commit": (
        "clew_server.intake",
        lambda killer: setattr(Spool, "_commit", killer.before(Spool._commit)),
    ),
    "before the answer": (
        "clew_server.intake",
        lambda killer: setattr(Spool, "append", killer.after(Spool.append)),
    ),
    "before the store's commit": (
        "clew_server.store",
        lambda killer: setattr(write, "_commit", killer.before(write._commit)),
    ),
    "after the store's commit": (
        "clew_server.store",
        lambda killer: setattr(write, "_commit", killer.after(write._commit)),
    ),
    "before the cursor moves": (
        "clew_server.store",
        lambda killer: setattr(Spool, "advance", killer.before(Spool.advance)),
    ),
    "amid the spool's deletion": (
        "clew_server.store",
        lambda killer: setattr(Spool, "_let_others_in", killer.before(Spool._let_others_in)),
    ),
}


def main() -> None:
    """Arm the point if it is for this module and has not struck yet, then run the module."""
    module = sys.argv[1]
    armed_module, arm = POINTS[os.environ[POINT]]
    done = Path(os.environ[DONE])
    if module == armed_module and not done.exists():
        arm(Killer(int(os.environ[PASSAGE]), done))
    sys.argv = sys.argv[1:]
    importlib.import_module(module).main()


if __name__ == "__main__":
    main()
