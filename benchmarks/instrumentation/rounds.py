"""Rounds of cells: cases follow each other within a round, so that they see the same state of the machine."""

import json
import os
import statistics
import subprocess
from collections import defaultdict
from collections.abc import Sequence

from benchmarks.instrumentation.cases import CASES
from benchmarks.instrumentation.peers import ROOT, python_of
from benchmarks.table import spread

ROUNDS = int(os.environ.get("CLEW_BENCH_ROUNDS", "5"))


class Rounds:
    """What each case took, by round."""

    def __init__(self, what: str, cases: Sequence[str], *, kind: str, url: str) -> None:
        self._took_us: dict[str, list[float]] = defaultdict(list)
        for case in cases:
            python_of(CASES[case][0])
        for _ in range(ROUNDS):
            for case in cases:
                self._took_us[case].append(_cell(what, case, kind, url))

    def took(self, case: str) -> str:
        """Microseconds of a case: median and spread."""
        return spread(self._took_us[case])

    def added_us(self, case: str, base: str = "bare") -> list[float]:
        """What a case took more than another, in each round."""
        return [took - bare for took, bare in zip(self._took_us[case], self._took_us[base], strict=True)]

    def added(self, case: str, base: str = "bare") -> str:
        """The same as text: median and spread."""
        return spread(self.added_us(case, base))

    def ratio(self, peer: str, ours: str = "clew", *, bases: tuple[str, str] = ("bare", "bare")) -> str:
        """How many times as much a peer adds: `bases` are the peer's and ours."""
        theirs, own = self.added_us(peer, bases[0]), self.added_us(ours, bases[1])
        return f"{statistics.median(theirs) / statistics.median(own):.1f}"

    def times(self, case: str, ours: str = "clew") -> str:
        """How many times as much a case takes, all in."""
        return f"{statistics.median(self._took_us[case]) / statistics.median(self._took_us[ours]):.1f}"


def _cell(what: str, case: str, kind: str, url: str) -> float:
    python = python_of(CASES[case][0])
    done = subprocess.run(
        [str(python), "-m", "benchmarks.instrumentation.cell", what, case, kind, url],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    if done.returncode:
        raise SystemExit(f"{what} {case} {kind} failed:\n{done.stderr[-2_000:]}")
    return float(json.loads(done.stdout.splitlines()[-1])["us"])
