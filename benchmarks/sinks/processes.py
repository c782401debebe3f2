"""Which of the machine's cores a server has, and what it has used of them."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final

from tests.servers.processes import Server

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


@contextmanager
def apart(start: AbstractContextManager[Server]) -> Iterator[Server]:
    """Start a server on half of the cores and stay on the others, as if it ran on another machine.

    Ends the program where there is one core only.
    """
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise SystemExit("a server cannot have cores of its own where there is one only")
    half = len(cores) // 2
    try:
        os.sched_setaffinity(0, cores[:half])  # what is started from here on stays there
        with start as server:
            os.sched_setaffinity(0, cores[half:])
            yield server
    finally:
        os.sched_setaffinity(0, cores)


def cpu_s_of(pid: int) -> float:
    """CPU-seconds of a process and of those that it has started and that still run."""
    return sum(_cpu_s(each) for each in _tree(pid))


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from _tree(int(child))


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S
