"""Killed at any moment, again and again, while files are written and rotated: each line is there exactly once."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from clew_collector.spool import Spool
from tests.chance import seeded_chance

LINES = 30_000
ROTATED_EVERY = 2_000
KILLS = 8
DEADLINE_S = 90.0
ROOT = Path(__file__).parents[4]


def write_lines(folder: Path, over: threading.Event) -> None:
    """Write two logs, by lines and halves of lines; one of them is rotated."""
    number = 0
    while number < LINES and not over.is_set():
        for name in ("renamed", "kept"):
            with (folder / f"{name}.log").open("a") as file:
                for each in range(number, number + ROTATED_EVERY):
                    file.write(f"{name} {each}")
                    if each % 10 == 0:
                        file.flush()
                    file.write("\n")
                    if each % 100 == 0:
                        over.wait(0.02)
        number += ROTATED_EVERY
        os.rename(folder / "renamed.log", folder / f"renamed.log.{number}")


def bodies_in(spool: Path) -> list[str]:
    taken = Spool(spool).take("logs", after_id=-1, max_records=10**9, max_bytes=1 << 40)
    requests = [ExportLogsServiceRequest.FromString(spooled.body) for spooled in taken]
    groups = [group for request in requests for group in request.resource_logs]
    return [log.body.string_value for group in groups for log in group.scope_logs[0].log_records]


def records_in(spool: Path) -> int:
    taken = Spool(spool).take("logs", after_id=-1, max_records=10**9, max_bytes=1 << 40)
    return sum(spooled.records for spooled in taken)


def test_killed_again_and_again_no_line_is_lost_or_doubled(tmp_path: Path) -> None:
    chance = seeded_chance()
    folder, spool, over = tmp_path / "logs", tmp_path / "spool.sqlite", threading.Event()
    folder.mkdir()
    Spool(spool).close()
    argv = [sys.executable, "-m", "tests.collector.receivers.tail.follow", str(folder), str(spool)]
    writing = threading.Thread(target=write_lines, args=(folder, over))
    writing.start()
    kills = 0
    deadline_s = time.monotonic() + DEADLINE_S
    try:
        while records_in(spool) < 2 * LINES:
            before = records_in(spool)
            is_last = kills == KILLS
            process = subprocess.Popen(argv, cwd=ROOT)
            try:
                while records_in(spool) < (2 * LINES if is_last else before + 1):
                    assert process.poll() is None, "it died by itself"
                    assert time.monotonic() < deadline_s, f"only {records_in(spool)} lines came"
                    time.sleep(0.02)
                time.sleep(chance.uniform(0, 0.1))
            finally:
                process.kill()
                process.wait()
            kills += 1
    finally:
        over.set()
        writing.join()

    bodies = bodies_in(spool)
    assert kills > 3, "it was hardly killed: the test proved nothing"
    assert len(bodies) == len(set(bodies)), "some are there twice"
    assert set(bodies) == {f"{name} {number}" for name in ("renamed", "kept") for number in range(LINES)}
