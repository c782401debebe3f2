"""How much a sink is given at once, and how long it is left alone after a failure."""

import random
from collections.abc import Callable
from typing import Final

from clew_collector.model import record

_FIRST_WAIT_S: Final = 0.5
_LONGEST_WAIT_S: Final = 60.0
_LONGEST_ASKED_FOR_S: Final = 600.0
_SMALLEST_SHARE: Final = 1 / 64
_GROWTH: Final = 1.5


@record
class BatchBounds:
    """What a batch may hold at most; a payload is never cut, so one that is larger is a batch of its own."""

    max_records: int
    max_bytes: int


class BatchSize:
    """How much of the bounds is used: half as much after a failure, half as much again after a success."""

    def __init__(self, bounds: BatchBounds) -> None:
        self._bounds = bounds
        self._share = 1.0

    @property
    def records(self) -> int:
        """Records of a batch at most."""
        return max(1, int(self._bounds.max_records * self._share))

    @property
    def bytes(self) -> int:
        """Bytes of a batch's payloads at most."""
        return max(1, int(self._bounds.max_bytes * self._share))

    def shrink(self) -> None:
        """Take note of a failure that a smaller batch may not meet."""
        self._share = max(_SMALLEST_SHARE, self._share / 2)

    def grow(self) -> None:
        """Take note of a success."""
        self._share = min(1.0, self._share * _GROWTH)


class BackOff:
    """Waits that double up to a minute. Each is cut by up to a half at random, so that many senders spread out."""

    def __init__(self, chance: Callable[[], float] = random.random) -> None:
        self._chance = chance
        self._wait_s = _FIRST_WAIT_S

    def next_wait_s(self, *, asked_for_s: float | None = None) -> float:
        """How long to wait now; at least as long as the other side asked for, if that is not over ten minutes."""
        wait_s = self._wait_s * (1 - self._chance() / 2)
        self._wait_s = min(_LONGEST_WAIT_S, self._wait_s * 2)
        return max(wait_s, min(asked_for_s or 0.0, _LONGEST_ASKED_FOR_S))

    def reset(self) -> None:
        """Begin again with the shortest."""
        self._wait_s = _FIRST_WAIT_S
