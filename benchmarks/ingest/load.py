"""The load generator (Go) and the records that it sends: made once, kept in the user's cache."""

import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from clew_collector.model import Signal

CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "clew-benchmarks"
SOURCE: Final = Path(os.environ.get("CLEW_BENCH_LOAD", Path(__file__).parents[3] / "shared" / "load"))
CONNECTIONS: Final = 4
ALL_RECORDS: Final[dict[Signal, int]] = {"logs": 1_000_000, "traces": 500_000}
RECORDS: Final[dict[Signal, int]] = {
    signal: min(records, int(os.environ.get("CLEW_BENCH_RECORDS", records))) for signal, records in ALL_RECORDS.items()
}
"""What a round sends; `CLEW_BENCH_RECORDS` has it send less, to try something out."""

_SIGNAL_NAMES: Final[dict[Signal, str]] = {"logs": "logs", "traces": "spans"}
_TIMEOUT_S: Final = 900

Protocol = Literal["http", "grpc", "es", "zipkin"]


@dataclass(frozen=True)
class Target:
    """Where to send. `pid` and its children are the server; `poll` prints how many records can be asked for."""

    protocol: Protocol
    url: str
    pid: int
    poll: str | None = None


@dataclass(frozen=True)
class Sent:
    """What a round came to; who stores nothing has no figures of what is stored. The CPU is the server's."""

    acked: int
    acked_per_s: float
    queryable_per_s: float | None
    lost: int
    cpu_s_per_million: float
    peak_mb: float
    p99_ms: float
    driver_cpu_s: float
    bytes_a_record: float | None = None


class Load:
    """The generator, built if it is not there, and its records. Ends the program if it cannot be had."""

    def __init__(self) -> None:
        self._binary = _built()
        self._corpus = _corpus(self._binary)

    def send(self, signal: Signal, target: Target, *, records: int | None = None, corpus: Path | None = None) -> Sent:
        """Send as fast as answers come over four connections, wait until all can be asked for, then three seconds.

        `corpus` is a folder of other bodies than its own.
        CPU seconds are those of all processes of the server, with the three seconds in which merges settle.
        """
        command = [str(self._binary), "send", "-data", str(corpus or self._corpus), "-signal", _SIGNAL_NAMES[signal]]
        command += ["-proto", target.protocol, "-url", target.url, "-pid", str(target.pid)]
        command += ["-conns", str(CONNECTIONS), "-n", str(records or RECORDS[signal])]
        if target.poll is not None:
            command += ["-poll", target.poll]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S)
        if done.returncode:
            raise SystemExit(f"the load generator failed:\n{done.stderr[-2_000:]}")
        return _sent(json.loads(done.stdout.splitlines()[-1]))

    def bodies(self, signal: Signal) -> Iterator[tuple[int, bytes]]:
        """The OTLP bodies that it sends, each with its number of records."""
        left = RECORDS[signal]
        with (self._corpus / f"{_SIGNAL_NAMES[signal]}.otlp").open("rb") as file:
            while left > 0 and (head := file.read(8)):
                records, size = struct.unpack("<II", head)
                yield records, file.read(size)
                left -= records


def _sent(told: dict[str, Any]) -> Sent:
    if told["first_error"]:
        print(f"the load generator was told: {told['first_error']}", file=sys.stderr, flush=True)
    return Sent(
        acked=told["acked"],
        acked_per_s=told["acked_per_s"],
        queryable_per_s=told.get("queryable_per_s"),
        lost=told.get("lost", told["records"] - told["acked"]),
        cpu_s_per_million=told["server_cpu_s_per_million"],
        peak_mb=told["server_peak_rss_mb"],
        p99_ms=told["req_ms_p99"],
        driver_cpu_s=told["driver_cpu_s"],
    )


def _built() -> Path:
    binary = CACHE / "load"
    if binary.exists():
        return binary
    if not SOURCE.is_dir() or shutil.which("go") is None:
        raise SystemExit(f"this benchmark needs Go and a load generator in {SOURCE} (CLEW_BENCH_LOAD)")
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as build:
        shutil.copytree(SOURCE, build, dirs_exist_ok=True)
        subprocess.run(["go", "build", "-o", str(binary), "."], cwd=build, check=True)
    return binary


def _corpus(binary: Path) -> Path:
    corpus = CACHE / "corpus"
    if not (corpus / "meta.json").exists():
        counts = ["-logs", str(ALL_RECORDS["logs"]), "-spans", str(ALL_RECORDS["traces"])]
        subprocess.run([str(binary), "gen", "-data", str(corpus), *counts], check=True, stdout=sys.stderr)
    return corpus
