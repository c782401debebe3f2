import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.instrumentation.fake_collector import FakeCollector
from tests.instrumentation.workers.fleet import environment

BEGIN = """
import os, signal, sys, threading, time
import clew
"""
CONFIGURE = 'clew.configure(log_format="none", batch_delay_s=60)\n'
WORK = """
clew.get_tracer("shop").start_span("work").end()
print("ready", flush=True)
time.sleep(30)
"""


def end_by(
    number: signal.Signals, code: str, collector: FakeCollector, folder: Path
) -> "subprocess.CompletedProcess[str]":
    """Run a program until it says that it is ready, and send it a signal."""
    file = folder / "program.py"
    file.write_text(BEGIN + code)
    env = environment({"CLEW_ENDPOINT": collector.url})
    with subprocess.Popen([sys.executable, str(file)], stdout=subprocess.PIPE, text=True, env=env) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            process.send_signal(number)
            output, _ = process.communicate(timeout=15)
        finally:
            process.kill()
    return subprocess.CompletedProcess(process.args, process.returncode, output)


def test_a_script_that_is_ended_by_sigterm_loses_nothing_and_dies_by_it(
    collector: FakeCollector, tmp_path: Path
) -> None:
    done = end_by(signal.SIGTERM, CONFIGURE + WORK, collector, tmp_path)

    assert done.returncode == -signal.SIGTERM
    assert [span.name for span in collector.spans] == ["work"]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_handler_of_the_hosts_own_wins(collector: FakeCollector, tmp_path: Path, when: str) -> None:
    own = "signal.signal(signal.SIGTERM, lambda *arguments: (print('own', flush=True), sys.exit(3)))\n"
    code = own + CONFIGURE if when == "before" else CONFIGURE + own

    done = end_by(signal.SIGTERM, code + WORK, collector, tmp_path)

    assert (done.returncode, done.stdout) == (3, "own\n")
    assert [span.name for span in collector.spans] == ["work"]


def test_a_host_that_ignores_sigterm_goes_on(collector: FakeCollector, tmp_path: Path) -> None:
    ignore = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    after = WORK.replace("time.sleep(30)", "time.sleep(0.3); print('went on')")

    done = end_by(signal.SIGTERM, ignore + CONFIGURE + after, collector, tmp_path)

    assert (done.returncode, done.stdout) == (0, "went on\n")


def test_a_handler_that_calls_the_one_before_it_ends_by_the_signal(collector: FakeCollector, tmp_path: Path) -> None:
    chain = """
before = signal.getsignal(signal.SIGTERM)
def own(number, frame):
    signal.signal(number, before)
    print("own", flush=True)
    before(number, frame)
signal.signal(signal.SIGTERM, own)
"""
    done = end_by(signal.SIGTERM, CONFIGURE + chain + WORK, collector, tmp_path)

    assert (done.returncode, done.stdout) == (-signal.SIGTERM, "own\n")
    assert [span.name for span in collector.spans] == ["work"]


def test_configuring_in_another_thread_leaves_the_signal_alone(collector: FakeCollector, tmp_path: Path) -> None:
    code = """
thread = threading.Thread(target=clew.configure, kwargs={"log_format": "none"})
thread.start()
thread.join()
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
"""
    done = end_by(signal.SIGTERM, code + WORK, collector, tmp_path)

    assert done.returncode == -signal.SIGTERM
