"""Retries as a share of the requests: when everything fails, load grows by that share and by no more."""

import time
from collections import deque
from collections.abc import Callable


class RetryBudget:
    """How many retries there may be, after the budget of Finagle's clients.

    Without one, each caller that asks three times makes three times the load, just when its neighbour is overloaded.
    """

    def __init__(
        self,
        *,
        ratio: float = 0.2,
        min_retries: int = 3,
        window_s: float = 10,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ratio = ratio
        self._min_retries = min_retries
        """May always be made in a window: a share of little traffic would be none."""
        self._window_s = window_s
        self._monotonic_s = monotonic_s
        self._requests_s: deque[float] = deque()
        self._retries_s: deque[float] = deque()

    def note_request(self) -> None:
        """Count a request, not a retry."""
        self._requests_s.append(self._monotonic_s())
        self._forget_old()

    def take(self) -> bool:
        """Whether a retry may be made now; it is counted if so."""
        self._forget_old()
        if len(self._retries_s) >= max(self._min_retries, self._ratio * len(self._requests_s)):
            return False
        self._retries_s.append(self._monotonic_s())
        return True

    def _forget_old(self) -> None:
        before_s = self._monotonic_s() - self._window_s
        for times_s in (self._requests_s, self._retries_s):
            while times_s and times_s[0] < before_s:
                times_s.popleft()
