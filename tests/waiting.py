"""Waiting for what other processes do."""

import time
from collections.abc import Callable


def wait_until(
    is_true: Callable[[], bool],
    *,
    timeout_s: float = 20,
    every_s: float = 0.05,
    found: Callable[[], object] = lambda: "",
) -> None:
    """Ask until it is true. Raises `AssertionError` with what is `found` instead when it is not in time."""
    deadline_s = time.monotonic() + timeout_s
    while not is_true():
        assert time.monotonic() < deadline_s, f"not true after {timeout_s:g} s: {found()}"
        time.sleep(every_s)
