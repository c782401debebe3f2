"""Requests a second of a real server with one worker, one log line a request, driven by wrk over 16 connections.

The baseline is the same application with structlog's JSON lines and no instrumentation; everything else is a share of
it, taken in the same round.
"""

import os
import re
import shutil
import signal
import statistics
import subprocess
import urllib.request
from collections import defaultdict
from time import monotonic, sleep

from benchmarks.instrumentation.cases import CASES
from benchmarks.instrumentation.peers import ROOT, python_of
from benchmarks.instrumentation.rounds import ROUNDS
from benchmarks.instrumentation.sink import running_sink
from benchmarks.table import print_table, spread
from tests.servers.processes import free_port

SERVERS = ("granian", "uvicorn")
COLUMNS = ("bare", "clew", "opentelemetry", "ddtrace", "logfire")
SECONDS = 3


def main() -> None:
    if shutil.which("wrk") is None:
        print("\nthroughput: wrk is not installed (on Debian: apt install wrk)\n", flush=True)
        return
    with running_sink() as url:
        rows = [_row(server, url) for server in SERVERS]
    print_table(
        f"Requests a second with one log line each (median of {ROUNDS} rounds), and their share of the bare ones",
        ["server", *COLUMNS],
        rows,
    )


def _row(server: str, sink_url: str) -> list[str]:
    rates: dict[str, list[float]] = defaultdict(list)
    for _ in range(ROUNDS):
        for case in COLUMNS:
            rates[case].append(_rate(server, case, sink_url))
    cells = [spread(rates["bare"], 0)]
    for case in COLUMNS[1:]:
        shares = [with_it / bare for with_it, bare in zip(rates[case], rates["bare"], strict=True)]
        cells.append(f"{statistics.median(rates[case]):,.0f} = {statistics.median(shares):.0%}")
    return [server, *cells]


def _rate(server: str, case: str, sink_url: str) -> float:
    port = free_port()
    python = python_of(CASES[case][0])
    command = {
        "uvicorn": ["uvicorn", "--port", str(port), "--no-access-log", "--log-level", "error"],
        "granian": ["granian", "--interface", "asgi", "--port", str(port), "--no-ws", "--log-level", "error"],
    }[server]
    process = subprocess.Popen(
        [str(python.with_name(command[0])), *command[1:], "benchmarks.instrumentation.served:app"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "BENCH_CASE": case, "BENCH_SINK": sink_url},
        stdout=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}/items/log"
    try:
        _wait_for(url)
        _wrk(url, seconds=1)
        return _wrk(url, seconds=SECONDS)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(url: str) -> None:
    end_s = monotonic() + 30
    while True:
        try:
            urllib.request.urlopen(url, timeout=1).read()
            return
        except OSError:
            if monotonic() > end_s:
                raise
            sleep(0.1)


def _wrk(url: str, *, seconds: int) -> float:
    told = subprocess.run(
        ["wrk", "-t1", "-c16", f"-d{seconds}s", url], capture_output=True, text=True, check=True
    ).stdout
    assert "Non-2xx" not in told, told
    found = re.search(r"Requests/sec:\s+([\d.]+)", told)
    assert found is not None, told
    return float(found.group(1))
