"""Where a request's context is lost: a table of places and peers."""

import json
import subprocess

from benchmarks.instrumentation.cases import CASES
from benchmarks.instrumentation.peers import ROOT, python_of
from benchmarks.instrumentation.sink import running_sink
from benchmarks.table import print_table

COLUMNS = ("clew", "opentelemetry", "ddtrace", "logfire", "correlation")


def main() -> None:
    with running_sink() as url:
        kept = {case: _places(case, url) for case in COLUMNS}
    places = list(dict.fromkeys(place for found in kept.values() for place in found))
    print_table(
        "Where the caller's trace (asgi-correlation-id: the caller's ID) is kept",
        ["place", *COLUMNS],
        [[place, *(_shown(kept[case].get(place)) for case in COLUMNS)] for place in places]
        + [["kept", *(f"{sum(found.values())} of {len(found)}" for found in kept.values())]],
    )


def _places(case: str, url: str) -> dict[str, bool]:
    done = subprocess.run(
        [str(python_of(CASES[case][0])), "-m", "benchmarks.instrumentation.places", case, url],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    if done.returncode:
        raise SystemExit(f"{case} failed:\n{done.stderr[-3_000:]}")
    found: dict[str, bool] = json.loads(done.stdout.splitlines()[-1])
    return found


def _shown(kept: bool | None) -> str:
    return "-" if kept is None else "kept" if kept else "**lost**"
