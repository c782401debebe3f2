"""Rounds that take turns, so that all systems see the same states of the machine."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from benchmarks.table import spread
from tests.servers.missing import ServerMissingError

ROUNDS: Final = int(os.environ.get("CLEW_BENCH_ROUNDS", "5"))
MISSING: Final = "missing"

T = TypeVar("T")
Measure = Callable[[], T]
"""One round of one system, which begins empty."""

System = Callable[[], AbstractContextManager[Measure[T]]]
"""Has what a system needs between its rounds. Raises `ServerMissingError`."""


@dataclass
class Rounds(Generic[T]):
    """What each system did, round by round, and why those are missing that are."""

    by_system: dict[str, list[T]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def values(self, system: str, figure: str) -> list[float]:
        """One figure of a system, of each round in which it has one."""
        found = (getattr(round_, figure) for round_ in self.by_system.get(system, ()))
        return [value for value in found if value is not None]

    def cell(self, system: str, figure: str, digits: int = 0) -> str:
        """A figure as text: median, smallest and largest."""
        if system in self.missing:
            return MISSING
        values = self.values(system, figure)
        return spread(values, digits) if values else "-"

    def ratio(self, system: str, other: str, figure: str) -> str:
        """How many times as much, taken within each round."""
        if {system, other} & self.missing.keys():
            return MISSING
        values, others = self.values(system, figure), self.values(other, figure)
        if not values or not others:
            return "-"
        return spread([value / other for value, other in zip(values, others, strict=True)], 2)

    def add(self, system: str, measure: Measure[T], number: int) -> None:
        """Measure a round of a system, or note that it cannot be."""
        try:
            result = measure()
        except ServerMissingError as error:
            self.missing[system] = str(error)
            return
        self.by_system.setdefault(system, []).append(result)
        print(f"round {number + 1}, {system}: {result}", file=sys.stderr, flush=True)

    def print_missing(self) -> None:
        """Say what could not be measured, and why."""
        for system, reason in self.missing.items():
            print(f"\nMissing: {system}: {reason}", flush=True)


def measure_rounds(systems: Mapping[str, System[T]], *, rounds: int = ROUNDS) -> Rounds[T]:
    """Open all systems and measure each once a round; who begins changes from round to round."""
    measured: Rounds[T] = Rounds()
    with ExitStack() as stack:
        measures: dict[str, Measure[T]] = {}
        for name, open_system in systems.items():
            try:
                measures[name] = stack.enter_context(open_system())
            except ServerMissingError as error:
                measured.missing[name] = str(error)
        names = list(measures)
        for number in range(rounds):
            first = number % max(1, len(names))
            for name in (*names[first:], *names[:first]):
                if name not in measured.missing:
                    measured.add(name, measures[name], number)
    return measured


@contextmanager
def without_preparation(measure: Measure[T]) -> Iterator[Measure[T]]:
    """A system that needs nothing between its rounds."""
    yield measure
