"""The fault tests again and again with other chances, beside a collector under steady load.

Goes on for `CLEW_SOAK_MINUTES` (30), then prints what failed, whether anything was lost or doubled, and whether the
memory of any process grows. `CLEW_TEST_SEED`, as printed, gives a failed test the same chance again.
"""

import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter as Tally
from pathlib import Path

from tests.chance import SEED
from tests.journeys.test_kill_nine import stored_names
from tests.server.running_clew import clew_up
from tests.soak.full_speed import FullSpeed
from tests.soak.memory import Sampling, print_growth
from tests.soak.steady import SteadyLoad

ROOT = Path(__file__).parents[2]
MINUTES = float(os.environ.get("CLEW_SOAK_MINUTES", "30"))
ROUND_TIMEOUT_S = 900
TOLD_EVERY_S = 60.0
DRAIN_S = 300.0
# DuckDB's memory is full before it is looked at: what grows after that is something else.
FILLING_BODIES = 4_000
CONFIG = f"telemetry: {{observe_itself: false}}\nstore: {{memory_bytes: {128 << 20}}}\n"
FAULTS = (
    "tests/journeys/test_kill_nine.py::test_killed_at_random_again_and_again_nothing_acknowledged_is_lost_or_doubled",
    "tests/journeys/test_kill_nine.py::test_killed_at_a_point_nothing_acknowledged_is_lost_or_doubled",
    "tests/journeys/test_full_disk.py",
    "tests/collector/receivers/tail/test_kill_nine.py",
    "tests/collector/receivers/test_kafka.py::test_killed_again_and_again_every_message_is_in_the_spool_exactly_once",
)


def holds() -> bool:
    """Whether all went well."""
    began_s = time.monotonic()
    print(f"for {MINUTES:g} minutes, from {time.strftime('%H:%M:%S')}", flush=True)
    with tempfile.TemporaryDirectory(prefix="clew-soak-") as folder:
        config = Path(folder, "clew.yaml")
        config.write_text(CONFIG)
        data = Path(folder, "data")
        with clew_up(data, "--config", str(config)) as running:
            FullSpeed(running.otlp_url, bodies=FILLING_BODIES).run(tell_every_s=TOLD_EVERY_S)
            running.wait_until_applied(timeout_s=DRAIN_S)
            load, sampling = SteadyLoad(running), Sampling(running.process.pid)
            with sampling.running(), load.sending():
                failed = run_faults(until_s=began_s + 60 * MINUTES)
            running.wait_until_applied(timeout_s=DRAIN_S)
        stored = Tally(stored_names(data))
    print_growth(sampling.growth(), began_s=began_s)
    lost = len(load.acknowledged - stored.keys())
    doubled = sum(stored[name] > 1 for name in load.acknowledged)
    print(f"\n{len(load.acknowledged):,} records were acknowledged: {lost} lost, {doubled} doubled")
    for problem, count in load.problems.items():
        print(f"{count} times {problem}")
    print(f"{failed} rounds failed" if failed else "no round failed")
    is_flat = all(each.is_flat for each in sampling.growth())
    return not (failed or lost or doubled or load.problems) and is_flat


def run_faults(*, until_s: float) -> int:
    """Run the fault tests in turn until it is time; how many failed."""
    failed = number = 0
    chance = random.SystemRandom()
    while time.monotonic() < until_s:
        fault, seed = FAULTS[number % len(FAULTS)], chance.randrange(10**6)
        number += 1
        ended, told = run_fault(fault, seed)
        print(f"{time.strftime('%H:%M:%S')}  {SEED}={seed:<7} {ended}  {fault.rpartition('::')[2]}", flush=True)
        if ended not in ("passed", "skipped"):
            failed += 1
            print(told[-4000:], flush=True)
    return failed


def run_fault(fault: str, seed: int) -> tuple[str, str]:
    """How a test ended, and what it said."""
    argv = [sys.executable, "-m", "pytest", "-q", "-x", fault]
    try:
        run = subprocess.run(
            argv,
            cwd=ROOT,
            env={**os.environ, SEED: str(seed)},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=ROUND_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired as error:
        return "hung", str(error.stdout)
    if run.returncode:
        return "FAILED", run.stdout
    return ("passed" if " passed" in run.stdout else "skipped"), run.stdout
