"""Checked, on disk and answered: what the intake process does by itself, and whether the store process disturbs it.

As fast as answers come, with the store process stopped by SIGSTOP; then at a steady half of the rate that is wanted,
with the store stopped, with it storing what comes, and with it also rendering the page of a request of 100,000 spans
again and again. Afterwards the store goes on, and each record that was acknowledged has to be in it.
"""

import json
import os
import signal
import statistics
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.ingest.huge_request import SPANS, Looked, huge_request, looking_at
from benchmarks.ingest.load import CACHE, CONNECTIONS, RECORDS, Load
from benchmarks.ingest.paced import send_paced
from benchmarks.ingest.rounds import ROUNDS, Rounds, measure_rounds, without_preparation
from benchmarks.ingest.servers import quiet_clew, target_of
from benchmarks.table import print_table
from tests.server.running_clew import RunningClew

WANTED_PER_S: Final = 250_000
WANTED_P99_MS: Final = 50
PACE_PER_S: Final = WANTED_PER_S // 2
_STORED_TIMEOUT_S: Final = 120

FLAT_OUT: Final = "as fast as answers come, the store stopped"
STOPPED: Final = f"{PACE_PER_S:,}/s, the store stopped"
STORING: Final = f"{PACE_PER_S:,}/s, the store at work"
RENDERING: Final = f"{PACE_PER_S:,}/s, the store at work and rendering a request of {SPANS:,} spans"

Meanwhile = Callable[[RunningClew], AbstractContextManager[Looked]]
"""What goes on while bodies are sent."""


@dataclass(frozen=True)
class Acknowledged:
    """What a round came to: `pages` of the huge request were rendered meanwhile, in `page_s` each."""

    acked_per_s: float
    p99_ms: float
    worst_ms: float | None = None
    pages: int | None = None
    page_s: float | None = None


def main() -> None:
    load = Load()
    rounds = measure_rounds(
        {
            FLAT_OUT: partial(without_preparation, partial(_flat_out, load)),
            STOPPED: partial(without_preparation, partial(_paced, load, _store_stopped)),
            STORING: partial(without_preparation, partial(_paced, load, lambda _: nullcontext(Looked()))),
            RENDERING: partial(without_preparation, partial(_paced, load, _rendering)),
        }
    )
    _print(rounds)


def _print(rounds: Rounds[Acknowledged]) -> None:
    print_table(
        f"Acknowledged: {RECORDS['logs']:,} log records, {CONNECTIONS} connections "
        f"(median of {ROUNDS} interleaved rounds, smallest to largest)",
        ["", "records/s", "answer, 99th percentile, ms", "slowest, ms", "pages rendered", "a page, s", "wanted"],
        [
            [
                name,
                rounds.cell(name, "acked_per_s"),
                rounds.cell(name, "p99_ms", 1),
                rounds.cell(name, "worst_ms"),
                rounds.cell(name, "pages"),
                rounds.cell(name, "page_s", 2),
                f"at least {WANTED_PER_S:,}/s" if name == FLAT_OUT else f"99th percentile under {WANTED_P99_MS} ms",
            ]
            for name in (FLAT_OUT, STOPPED, STORING, RENDERING)
        ],
    )
    rounds.print_missing()


def _flat_out(load: Load) -> Acknowledged:
    with _running() as running:
        with _store_stopped(running):
            sent = load.send("logs", replace(target_of(running, "logs"), poll=None))
        _check_stored(running, sent.acked)
    return Acknowledged(acked_per_s=sent.acked_per_s, p99_ms=sent.p99_ms)


def _paced(load: Load, meanwhile: Meanwhile) -> Acknowledged:
    with _running() as running:
        with meanwhile(running) as looked:
            url = target_of(running, "logs").url
            sent = send_paced(url, load.bodies("logs"), per_s=PACE_PER_S, connections=CONNECTIONS)
        if sent.refused:
            raise SystemExit(f"{sent.refused} records were refused: these figures mean nothing")
        _check_stored(running, sent.acked)
    return Acknowledged(
        acked_per_s=sent.acked_per_s,
        p99_ms=sent.p99_ms,
        worst_ms=max(sent.took_ms),
        pages=len(looked.took_s) or None,
        page_s=statistics.median(looked.took_s) if looked.took_s else None,
    )


@contextmanager
def _store_stopped(running: RunningClew) -> Iterator[Looked]:
    pid = _store_pid(running)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield Looked()
    finally:
        os.kill(pid, signal.SIGCONT)


def _store_pid(running: RunningClew) -> int:
    """The child of `clew up` that keeps and shows."""
    of = running.process.pid
    children = Path(f"/proc/{of}/task/{of}/children").read_text().split()
    [pid] = [int(child) for child in children if b"clew_server.store" in Path(f"/proc/{child}/cmdline").read_bytes()]
    return pid


@contextmanager
def _rendering(running: RunningClew) -> Iterator[Looked]:
    send_paced(target_of(running, "traces").url, huge_request(), per_s=SPANS, connections=1)
    running.wait_for(partial(_stored, running, "spans"), lambda spans: spans >= SPANS)
    with looking_at(running.dashboard_url) as looked:
        yield looked


def _check_stored(running: RunningClew, acked: int) -> None:
    """All that was acknowledged comes to be there."""
    running.wait_for(partial(_stored, running, "logs"), lambda logs: logs >= acked, timeout_s=_STORED_TIMEOUT_S)


def _stored(running: RunningClew, what: str) -> int:
    with urllib.request.urlopen(f"{running.dashboard_url}/health?format=json", timeout=60) as health:
        return int(json.load(health)["stored"][what])


@contextmanager
def _running() -> Iterator[RunningClew]:
    with tempfile.TemporaryDirectory(dir=CACHE) as data, quiet_clew(Path(data)) as running:
        yield running
