"""Turns at the interpreter: how the export thread gets it from threads that are busy.

CPython's lock is not fair. A thread that waits for it is woken each time that another one lets go of it for a system
call, and finds it taken again, because waking up takes longer than the call. It then waits for 5 ms more before it may
insist, and never does: a server that is busy answers a thousand requests meanwhile, and pays for the waking at each.
So whoever queues a record while the export thread has something to do steps aside for a moment, now and then.
"""

import sys
import time
from time import monotonic
from types import BuiltinFunctionType
from typing import Final

WORKING_S: Final = 0.001
"""How often somebody steps aside while the export thread computes..."""

SENDING_S: Final = 0.002
"""...and while it sends, when it may well be waiting for the collector instead."""

_ASIDE_S: Final = 0.000_02
"""Asked for; Linux makes 0.1 ms of it, and another thread needs half of that to wake up."""

_NEVER: Final = float("inf")


class Turns:
    """Shared by the export thread, which says when it has something to do, and by whoever queues."""

    __slots__ = ("_is_needed", "every_s", "next_at_s")

    def __init__(self) -> None:
        self.next_at_s: float = _NEVER
        """When who queues a record is to call `step_aside`, on the monotonic clock."""

        self.every_s = WORKING_S
        # Under gevent both sides are greenlets, and `sleep` would run others in the middle of somebody's function.
        has_gil = getattr(sys, "_is_gil_enabled", lambda: True)()
        self._is_needed = has_gil and isinstance(time.sleep, BuiltinFunctionType)

    def want(self, at_s: float) -> None:
        """The export thread has something to do from this moment on."""
        if self._is_needed:
            self.next_at_s = at_s

    def step_aside(self) -> None:
        """Let another thread have the interpreter; takes about 0.1 ms."""
        self.next_at_s = monotonic() + self.every_s
        time.sleep(_ASIDE_S)
