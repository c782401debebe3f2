"""20,000 syslog lines a second over UDP, each second's at once: how many arrive.

A datagram that finds the receive buffer full is gone, and nobody is told. Into clew, counted in its store, and into
rsyslog writing to a file: as it comes, and with a buffer of the size that clew asks for.
"""

import json
import socket
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.ingest.load import CACHE
from benchmarks.ingest.rounds import ROUNDS, Measure, Rounds, System, measure_rounds
from benchmarks.ingest.servers import quiet_clew
from benchmarks.table import print_table
from clew_collector.receivers.syslog import RECEIVE_BUFFER_BYTES
from tests.servers import rsyslog

LINES_PER_S: Final = 20_000
SECONDS: Final = 10
_SETTLED_AFTER_S: Final = 5.0
_POLL_S: Final = 0.5
_LINE: Final = (
    b"<14>1 2026-01-02T03:04:05.123456+00:00 web1 orders 77 - "
    b'[x@1 request_id="r-%d" trace_id="0af7651916cd43dd8448eb211c80319c"] GET /products/teapot-iron 200 in 13 ms'
)

CLEW: Final = "clew"
RSYSLOG: Final = "rsyslog, imudp and omfile"
RSYSLOG_BUFFER: Final = "rsyslog with rcvbufSize"


@dataclass(frozen=True)
class Arrived:
    """What a round came to; `burst_ms` is how long the sender took to hand over a second's lines."""

    lines: int
    lost: int
    burst_ms: float


def main() -> None:
    systems: dict[str, System[Arrived]] = {
        CLEW: _clew,
        RSYSLOG: partial(_rsyslog, ""),
        RSYSLOG_BUFFER: partial(_rsyslog, f' rcvbufSize="{RECEIVE_BUFFER_BYTES}"'),
    }
    _print(measure_rounds(systems))


def _print(rounds: Rounds[Arrived]) -> None:
    print_table(
        f"Syslog over UDP: {SECONDS} bursts of {LINES_PER_S:,} lines, one a second "
        f"(median of {ROUNDS} interleaved rounds, smallest to largest)",
        ["", "lines that arrived", "lost", "a burst is sent in, ms", "wanted"],
        [
            [
                system,
                rounds.cell(system, "lines"),
                rounds.cell(system, "lost"),
                rounds.cell(system, "burst_ms"),
                "none lost" if system == CLEW else "",
            ]
            for system in (CLEW, RSYSLOG, RSYSLOG_BUFFER)
        ],
    )
    rounds.print_missing()


@contextmanager
def _clew() -> Iterator[Measure[Arrived]]:
    def measure() -> Arrived:
        with tempfile.TemporaryDirectory(dir=CACHE) as data, quiet_clew(Path(data)) as running:
            return _send(running.syslog_address, partial(_stored, running.dashboard_url))

    yield measure


def _stored(dashboard_url: str) -> int:
    with urllib.request.urlopen(f"{dashboard_url}/health?format=json", timeout=60) as health:
        return int(json.load(health)["stored"]["logs"])


@contextmanager
def _rsyslog(settings: str) -> Iterator[Measure[Arrived]]:
    daemon = rsyslog.find()
    daemon = replace(daemon, takes=daemon.takes.replace('port="{port}"', f'port="{{port}}"{settings}'))

    def measure() -> Arrived:
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            lines = Path(folder) / "lines"
            with daemon.sending_on(f'*.* action(type="omfile" file="{lines}")\n') as server:
                host, _, port = server.url.partition(":")
                return _send((host, int(port)), lambda: lines.read_bytes().count(b"\n") if lines.exists() else 0)

    yield measure


def _send(address: tuple[str, int], count: Callable[[], int]) -> Arrived:
    sent, bursts_ms = 0, []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        began_s = time.monotonic()
        for number in range(SECONDS):
            time.sleep(max(0.0, began_s + number - time.monotonic()))
            burst_s = time.monotonic()
            for _ in range(LINES_PER_S):
                datagrams.sendto(_LINE % sent, address)
                sent += 1
            bursts_ms.append((time.monotonic() - burst_s) * 1000)
    arrived = _settled(count, sent)
    return Arrived(lines=arrived, lost=sent - arrived, burst_ms=max(bursts_ms))


def _settled(count: Callable[[], int], sent: int) -> int:
    """How many arrived, once all have or none has come for a while."""
    arrived, since_s = count(), time.monotonic()
    while arrived < sent and time.monotonic() - since_s < _SETTLED_AFTER_S:
        time.sleep(_POLL_S)
        if (now := count()) != arrived:
            arrived, since_s = now, time.monotonic()
    return arrived
