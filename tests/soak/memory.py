"""How much memory each process of a collector holds, over time."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from clew_collector.model import record

INTERVAL_S = 2.0
GROWTH_IS = 1.10
GROWTH_IS_MIB = 20.0


@record
class Growth:
    """What a process held, in MiB: at first, in the middle and in the last quarter of the time, and at most."""

    process: str
    first: float
    middle: float
    last: float
    peak: float

    @property
    def is_flat(self) -> bool:
        """Whether it held no more in the last quarter than in the one before the middle, but for a little."""
        return self.last < max(self.middle * GROWTH_IS, self.middle + GROWTH_IS_MIB)


class Sampling:
    """Samples the processes under one, and that one itself."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._samples: dict[str, list[float]] = {}

    @contextmanager
    def running(self) -> Iterator[None]:
        over = threading.Event()
        sampling = threading.Thread(target=self._sample, args=(over,))
        sampling.start()
        try:
            yield
        finally:
            over.set()
            sampling.join()

    def growth(self) -> list[Growth]:
        return [
            Growth(
                process=process,
                first=samples[0],
                middle=_mean(samples[len(samples) // 4 : len(samples) // 2] or samples),
                last=_mean(samples[-len(samples) // 4 :]),
                peak=max(samples),
            )
            for process, samples in self._samples.items()
        ]

    def _sample(self, over: threading.Event) -> None:
        while not over.wait(INTERVAL_S):
            for pid in (self._pid, *_children(self._pid)):
                name, mib = _name(pid), _resident_mib(pid)
                self._samples.setdefault(name, []).append(mib)


def print_growth(growths: Sequence[Growth], *, began_s: float) -> None:
    minutes = (time.monotonic() - began_s) / 60
    print(f"\nMemory over {minutes:.0f} minutes under a steady load, MiB")
    print(f"{'process':<12}{'first':>8}{'middle':>8}{'last':>8}{'peak':>8}")
    for each in growths:
        told = "flat" if each.is_flat else "GROWS"
        print(f"{each.process:<12}{each.first:>8.0f}{each.middle:>8.0f}{each.last:>8.0f}{each.peak:>8.0f}  {told}")


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task")
    return [int(child) for task in tasks.iterdir() for child in (task / "children").read_text().split()]


def _name(pid: int) -> str:
    arguments = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    module = next((text for text in arguments if text.startswith("clew_server.")), "")
    return {"clew_server.cli": "supervisor"}.get(module, module.removeprefix("clew_server."))


def _resident_mib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/status").read_text().partition("VmRSS:")[2].split()[0]) / 1024


def _mean(samples: Sequence[float]) -> float:
    return sum(samples) / len(samples)
