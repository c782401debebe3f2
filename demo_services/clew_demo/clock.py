"""The fault `clock-skew`: a process whose clock is ahead of all others."""

import time

from clew_demo.faults.switchboard import Switchboard

SKEW_S = 45


def install(faults: Switchboard) -> None:
    """Let `time.time` and `time.time_ns` be `SKEW_S` ahead for as long as the fault is planted.

    Before `clew` is imported: it takes `time_ns` by name, as others may. `datetime` and the kernel stay right.
    """
    true_s, true_ns = time.time, time.time_ns

    def skewed_s() -> float:
        return true_s() + (SKEW_S if faults.is_on("clock-skew") else 0)

    def skewed_ns() -> int:
        return true_ns() + (SKEW_S * 1_000_000_000 if faults.is_on("clock-skew") else 0)

    time.time, time.time_ns = skewed_s, skewed_ns
