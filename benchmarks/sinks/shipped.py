"""What a round came to, and the table of all rounds."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from benchmarks.ingest.load import Sent
from benchmarks.ingest.rounds import ROUNDS, Rounds
from benchmarks.sinks.backlog import Drained
from benchmarks.sinks.processes import cpu_s_of
from benchmarks.table import print_table

CLEW: Final = "clew"
_COMPARED: Final = ("per_s", "server_cpu_s_per_million")
_SETTLED_AFTER_S: Final = 3
"""For how long the load generator waits at its end."""

_FIGURES: Final = (
    ("records/s", "per_s", 0),
    ("CPU-seconds of the sender a million", "sender_cpu_s_per_million", 1),
    ("CPU-seconds of the server a million", "server_cpu_s_per_million", 1),
    ("peak memory of the sender, MB", "peak_mb", 0),
    ("missing, or there twice", "amiss", 0),
)


@dataclass(frozen=True)
class Shipped:
    """How fast records were acknowledged, and what that took on both sides.

    `amiss` is by how much the count at the server differs afterwards from what was sent.
    """

    per_s: float
    sender_cpu_s_per_million: float
    server_cpu_s_per_million: float
    amiss: int
    peak_mb: float | None = None


def by_load(send: Callable[[], Sent], *, pid: int, count: Callable[[], int]) -> Shipped:
    """A round of the load generator into the server with this process ID."""
    there, server_s = count(), cpu_s_of(pid)
    sent = send()
    server_s = cpu_s_of(pid) - server_s
    return Shipped(
        per_s=sent.acked_per_s,
        sender_cpu_s_per_million=sent.driver_cpu_s / sent.acked * 1e6,
        server_cpu_s_per_million=server_s / sent.acked * 1e6,
        amiss=sent.lost + abs(count() - there - sent.acked),
    )


def by_clew(drain: Callable[[], Drained], *, pid: int, count: Callable[[], int]) -> Shipped:
    """A round of clew into the server with this process ID."""
    there, server_s = count(), cpu_s_of(pid)
    drained = drain()
    time.sleep(_SETTLED_AFTER_S)
    server_s = cpu_s_of(pid) - server_s
    return Shipped(
        per_s=drained.records / drained.took_s,
        sender_cpu_s_per_million=drained.cpu_s / drained.records * 1e6,
        server_cpu_s_per_million=server_s / drained.records * 1e6,
        amiss=abs(count() - there - drained.records),
        peak_mb=drained.peak_mb,
    )


def print_shipped(what: str, rounds: Rounds[Shipped], *, wanted: dict[str, str]) -> None:
    """The table, with clew first; ends the program if anything is amiss."""
    rounds.print_missing()
    for system in rounds.by_system:
        if amiss := sum(rounds.values(system, "amiss")):
            raise SystemExit(f"{system}: {amiss:.0f} records are missing or there twice: these figures mean nothing")
    others = [system for system in rounds.by_system if system != CLEW]
    print_table(
        f"{what} (median of {ROUNDS} interleaved rounds, smallest to largest)",
        ["", CLEW, *others, *(f"clew / {other}" for other in others), "wanted"],
        [
            [
                name,
                *(rounds.cell(system, figure, digits) for system in (CLEW, *others)),
                *(rounds.ratio(CLEW, other, figure) if figure in _COMPARED else "" for other in others),
                wanted.get(figure, ""),
            ]
            for name, figure, digits in _FIGURES
        ],
    )
