"""`clew demo` and `clew demo fault` as a user runs them."""

import os
import re
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from clew_demo.faults.catalogue import FAULTS
from tests.server.running_clew import RunningClew, clew, clew_up
from tests.servers.processes import free_port


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningClew]:
    with clew_up(tmp_path_factory.mktemp("demo"), "--shop-port", "0", "--rate", "0", command="demo") as running:
        yield running


@pytest.fixture(autouse=True)
def _nothing_planted(request: pytest.FixtureRequest) -> None:
    if "demo" in request.fixturenames:
        fault(request.getfixturevalue("demo"), "--lift-all")


def fault(demo: RunningClew, *arguments: str) -> str:
    """What `clew demo fault` says."""
    done = clew("demo", "fault", "--data", str(demo.data), *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def planted(demo: RunningClew) -> list[str]:
    """What is planted, as the page of faults has it."""
    answer = httpx.get(f"{demo.urls['control']}/faults?format=json")
    return [found["name"] for found in answer.json()["faults"] if found["since_ns"]]


def test_a_fault_is_planted_and_lifted_by_its_name(demo: RunningClew) -> None:
    said = fault(demo, "slow-database")

    assert re.search(r"slow-database is planted in inventory since \d\d:\d\d:\d\d", said)
    assert FAULTS["slow-database"].effect in said
    assert f"{demo.dashboard_url}/requests?service=inventory" in said
    assert planted(demo) == ["slow-database"]

    assert fault(demo, "slow-database", "--lift") == "lifted slow-database\n"
    assert fault(demo, "slow-database", "--lift") == "slow-database was not planted\n"
    assert planted(demo) == []


def test_all_faults_are_listed_with_what_they_do_and_which_are_planted(demo: RunningClew) -> None:
    fault(demo, "clock-skew")

    said = fault(demo)

    assert all(found.name in said and found.effect in said for found in FAULTS.values())
    assert re.findall(r"^(\S+)   planted at", said, re.MULTILINE) == ["clock-skew"]


def test_all_faults_are_lifted_at_once(demo: RunningClew) -> None:
    fault(demo, "clock-skew")
    fault(demo, "slow-database")

    assert fault(demo, "--lift-all") == "lifted slow-database, clock-skew\n"
    assert fault(demo, "--lift-all") == "nothing was planted\n"
    assert planted(demo) == []


def test_the_data_directory_may_stand_before_the_command_too(demo: RunningClew) -> None:
    done = clew("demo", "--data", str(demo.data), "fault", "clock-skew")

    assert done.returncode == 0
    assert planted(demo) == ["clock-skew"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["slow-databse"], "there is no fault 'slow-databse'; did you mean slow-database?"),
        (["--lift"], "which fault?"),
    ],
)
def test_a_fault_that_is_not_known_is_explained(demo: RunningClew, arguments: list[str], said: str) -> None:
    done = clew("demo", "fault", "--data", str(demo.data), *arguments)

    assert done.returncode == 2
    assert said in done.stderr


def test_without_a_running_demo_nothing_is_planted_and_all_is_listed(tmp_path: Path) -> None:
    refused = clew("demo", "fault", "slow-database", "--data", str(tmp_path))
    listed = clew("demo", "fault", "--data", str(tmp_path))

    assert refused.returncode == 2
    assert "no demo runs on" in refused.stderr
    assert not list(tmp_path.iterdir())
    assert listed.returncode == 0
    assert "slow-database" in listed.stdout


@pytest.mark.parametrize(
    ("flag", "url", "said"),
    [
        ("--broker", "http://b", "--broker must be a URL that begins with amqp:// or amqps:// or redis://"),
        ("--redis", "localhost:6379", "--redis must be a URL that begins with redis://"),
        ("--redis", f"redis://127.0.0.1:{free_port()}", "--redis: nothing answers at 127.0.0.1:"),
    ],
    ids=["scheme", "no URL", "nobody there"],
)
def test_a_server_that_cannot_be_used_is_said_at_once(tmp_path: Path, flag: str, url: str, said: str) -> None:
    done = clew("demo", "--data", str(tmp_path), flag, url)

    assert done.returncode == 2
    assert said in done.stderr


def test_the_demo_starts_a_killed_service_again_forgets_faults_and_ends_with_all_of_them(tmp_path: Path) -> None:
    with clew_up(tmp_path, "--shop-port", "0", "--rate", "0", command="demo") as demo:
        shop = f"{demo.urls['gateway']}/products"
        [orders] = [pid for pid, command in processes() if "clew_demo.orders" in command and has_parent(pid, demo)]
        os.kill(orders, signal.SIGKILL)
        demo.wait_for(lambda: started_again(demo, "clew_demo.orders", orders), bool)
        assert httpx.get(shop, timeout=20).is_success
        fault(demo, "slow-database")
        children = [pid for pid, _ in processes() if has_parent(pid, demo)]
        demo.process.send_signal(signal.SIGINT)
        status = demo.process.wait(20)

    assert status == 0
    assert len(children) >= 16
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)

    with clew_up(tmp_path, "--shop-port", "0", "--rate", "0", command="demo") as demo:
        assert planted(demo) == []


def started_again(demo: RunningClew, module: str, before: int) -> bool:
    return any(module in command and pid != before and has_parent(pid, demo) for pid, command in processes())


def processes() -> list[tuple[int, str]]:
    """Process IDs and command lines of all processes."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found.append((int(path.parent.name), path.read_bytes().replace(b"\0", b" ").decode(errors="replace")))
    return found


def has_parent(pid: int, running: RunningClew) -> bool:
    with suppress(OSError):
        return f"PPid:\t{running.process.pid}\n" in Path(f"/proc/{pid}/status").read_text()
    return False
