"""A spool that is full of the load generator's records, and the process that ships them."""

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from benchmarks.ingest.load import CACHE, Load
from clew_collector.model import Signal
from clew_collector.payload import Payload
from clew_collector.spool import Spool

_APPENDED_AT_ONCE: Final = 64
_TIMEOUT_S: Final = 600


@dataclass(frozen=True)
class Drained:
    """What it took to ship a backlog; the CPU is that of clew's process, from the first payload to the last."""

    records: int
    took_s: float
    cpu_s: float
    peak_mb: float


class Backlog:
    """A full spool, of which each round has a copy. `sink` is an item of `sinks` in clew.yaml."""

    def __init__(self, folder: Path, sink: dict[str, Any]) -> None:
        self.records = 0
        self._folder = folder
        self._sink = sink

    def fill(self, load: Load, signal: Signal) -> None:
        """Put the load generator's records there, for this sink alone."""
        with closing(Spool(self._folder / "spool.sqlite", max_bytes=1 << 40)) as spool:
            spool.register([self._sink["type"]], only={self._sink["type"]: [signal]})
            bodies = load.bodies(signal)
            while some := list(islice(bodies, _APPENDED_AT_ONCE)):
                spool.append([_payload(signal, *each) for each in some])
                self.records += sum(records for records, _ in some)

    def drain(self) -> Drained:
        """Ship a copy of it in a process of its own. Ends the program if anything is set aside."""
        with tempfile.TemporaryDirectory(dir=CACHE) as data:
            shutil.copytree(self._folder, data, dirs_exist_ok=True)
            config = json.dumps({"data": data, "sinks": [self._sink]})
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.sinks.draining", config],
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_S,
            )
        if done.returncode:
            raise SystemExit(f"clew failed:\n{done.stdout[-2_000:]}{done.stderr[-2_000:]}")
        told = json.loads(done.stdout.splitlines()[-1])
        if told.pop("set_aside"):
            raise SystemExit("records were set aside: these figures mean nothing")
        return Drained(records=self.records, **told)


@contextmanager
def backlog(load: Load, signal: Signal, sink: dict[str, Any]) -> Iterator[Backlog]:
    """A backlog of a round's records, gone afterwards."""
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        made = Backlog(Path(folder), sink)
        made.fill(load, signal)
        yield made


def _payload(signal: Signal, records: int, body: bytes) -> Payload:
    return Payload(signal=signal, body=body, records=records, digest=hashlib.sha256(body).digest())
