"""SIGTERM in a process that has no handler for it, such as a script: it would be gone at once, without `atexit`."""

import os
import signal
import sys
import threading
from types import FrameType
from typing import Any, Final

from clew.workers.ending import ENDING

_EMBEDDING: Final = ("uwsgi", "mod_wsgi")
"""Servers in C with Python inside: the signals are theirs, whatever Python believes."""


def install() -> None:
    """Take SIGTERM if nobody has it. Whoever sets a handler later has it from then on; twice is the same as once."""
    if threading.current_thread() is not threading.main_thread() or is_embedded():
        return
    try:
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, _end)
    except ValueError:  # not in the main interpreter
        return


def is_embedded() -> bool:
    """Whether this Python runs inside of a server written in C."""
    return any(name in sys.modules for name in _EMBEDDING) or os.path.basename(sys.executable or "") == "uwsgi"


def _end(number: int, _frame: FrameType | None) -> None:
    gevent = sys.modules.get("gevent")
    if gevent is not None and _is_needed_by_flush(sys.modules["gevent.hub"]):
        gevent.spawn(_finish_and_die, number)
    else:
        _finish_and_die(number)


def _is_needed_by_flush(hub: Any) -> bool:
    """Whether this is gevent's event loop, or the export thread as a greenlet: neither can wait for itself.

    gevent runs a signal's handler in the greenlet that happens to be current.
    """
    from clew.exporting.exporter import THREAD_NAME

    return isinstance(hub.getcurrent(), hub.Hub) or threading.current_thread().name == THREAD_NAME


def _finish_and_die(number: int) -> None:
    ENDING.finish()
    if signal.getsignal(number) is _end:
        signal.signal(number, signal.SIG_DFL)
    # By the signal, as without a handler: the exit status says so to whoever waits.
    os.kill(os.getpid(), number)
