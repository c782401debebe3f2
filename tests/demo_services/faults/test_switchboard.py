import time
from pathlib import Path

import pytest

from clew_demo.faults.catalogue import FAULTS, Fault
from clew_demo.faults.switchboard import LOOK_EVERY_S, Switchboard


def test_a_planted_fault_is_seen_by_another_process_with_its_time(tmp_path: Path) -> None:
    before_ns = time.time_ns() - 20_000_000  # files take their times from the kernel's coarse clock

    since_ns = Switchboard(tmp_path).plant("slow-database")

    assert Switchboard(tmp_path).planted() == {"slow-database": since_ns}
    assert Switchboard(tmp_path).is_on("slow-database")
    assert not Switchboard(tmp_path).is_on("clock-skew")
    assert before_ns <= since_ns <= time.time_ns()


def test_planting_twice_keeps_the_first_time(tmp_path: Path) -> None:
    since_ns = Switchboard(tmp_path).plant("slow-database")

    assert Switchboard(tmp_path).plant("slow-database") == since_ns


def test_a_lifted_fault_is_gone_and_the_others_stay(tmp_path: Path) -> None:
    faults = Switchboard(tmp_path)
    faults.plant("slow-database")
    faults.plant("clock-skew")

    assert faults.lift("slow-database")
    assert not faults.lift("slow-database")
    assert list(faults.planted()) == ["clock-skew"]


def test_all_faults_are_lifted_at_once(tmp_path: Path) -> None:
    faults = Switchboard(tmp_path)
    for name in FAULTS:
        faults.plant(name)

    faults.lift_all()

    assert faults.planted() == {}


def test_a_change_is_noticed_after_the_next_look(tmp_path: Path) -> None:
    now_s = 100.0
    faults = Switchboard(tmp_path, monotonic_s=lambda: now_s)
    assert not faults.is_on("slow-database")

    faults.plant("slow-database")

    assert not faults.is_on("slow-database")
    now_s += LOOK_EVERY_S
    assert faults.is_on("slow-database")


@pytest.mark.parametrize("name", ["no-such-fault", "../slow-database", ""])
def test_a_fault_that_is_not_known_is_no_fault(tmp_path: Path, name: str) -> None:
    faults = Switchboard(tmp_path)

    for ask in (faults.is_on, faults.plant, faults.lift):
        with pytest.raises(KeyError):
            ask(name)
    assert not list(tmp_path.rglob("*"))


@pytest.mark.parametrize("fault", FAULTS.values(), ids=list(FAULTS))
def test_every_fault_says_where_it_is_and_what_it_does(fault: Fault) -> None:
    assert fault.service
    assert fault.operation
    assert fault.effect.endswith(".")
