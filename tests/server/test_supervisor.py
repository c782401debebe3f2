"""Children are kept running, given up where that would not help, and ended together."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clew_server.supervisor import ChildSpec, Supervisor
from tests.waiting import wait_until

FOREVER = "import time; time.sleep(600)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)
DEADLINE_S = 20.0


def a_child(name: str, code: str, log_path: Path | None = None) -> ChildSpec:
    return ChildSpec(name=name, argv=[sys.executable, "-c", code], log_path=log_path)


@contextmanager
def watched(supervisor: Supervisor) -> Iterator[None]:
    over = threading.Event()
    watching = threading.Thread(target=lambda: supervisor.watch(until=over.is_set))
    watching.start()
    try:
        yield
    finally:
        over.set()
        watching.join()
        supervisor.stop()


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_killed_child_is_started_again_and_said_so() -> None:
    said: list[str] = []
    supervisor = Supervisor(say=said.append)
    supervisor.start(a_child("orders", FOREVER))

    with watched(supervisor):
        first = supervisor.pids()["orders"]
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: supervisor.pids().get("orders", first) != first)

    assert said == ["orders was killed by SIGKILL; starting it again in 0.2 s"]


def test_a_child_that_keeps_dying_is_started_ever_later() -> None:
    said: list[str] = []
    supervisor = Supervisor(say=said.append)
    supervisor.start(a_child("broken", "raise SystemExit(3)"))

    with watched(supervisor):
        wait_until(lambda: len(said) >= 3)

    assert [line.rpartition(" in ")[2] for line in said[:3]] == ["0.2 s", "0.5 s", "1 s"]
    assert "ended with status 3" in said[0]


def test_a_child_that_cannot_use_its_configuration_ends_the_watch() -> None:
    supervisor = Supervisor(say=lambda line: None)
    supervisor.start(a_child("intake", FOREVER))
    supervisor.start(a_child("store", "raise SystemExit(2)"))

    status = supervisor.watch()
    supervisor.stop()

    assert status == 2


def test_stopping_ends_all_children() -> None:
    supervisor = Supervisor(say=lambda line: None)
    for name in ("one", "two", "three"):
        supervisor.start(a_child(name, FOREVER))
    pids = list(supervisor.pids().values())

    supervisor.stop()
    supervisor.stop()

    assert len(pids) == 3
    assert not any(map(is_running, pids))


def test_a_child_that_will_not_end_is_killed(tmp_path: Path) -> None:
    supervisor = Supervisor(say=lambda line: None, stop_timeout_s=0.3)
    supervisor.start(a_child("stubborn", STUBBORN, tmp_path / "log"))
    wait_until(lambda: (tmp_path / "log").read_text() == "up\n")
    pid = supervisor.pids()["stubborn"]

    supervisor.stop()

    assert not is_running(pid)
