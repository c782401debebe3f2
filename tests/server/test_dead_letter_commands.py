"""`clew deadletter` on a data directory, with and without a collector that runs on it."""

from pathlib import Path
from typing import Any

import httpx

from clew_collector.payload import Payload, digest_of
from clew_collector.spool import Spool
from tests.collector.otlp_builders import a_log, logs
from tests.server.running_clew import RunningClew, clew, clew_up

SECRET = "4111 1111 1111 1111"
GOOD = logs(a_log(f"paid with {SECRET}")).SerializeToString()
UNREADABLE = b"\xff\xff not OTLP"


def set_aside(data: Path, *bodies: bytes) -> None:
    """Dead letters as the pipeline makes them."""
    data.mkdir(exist_ok=True)
    spool = Spool(data / "spool.sqlite")
    payloads = [Payload("logs", body, records=1, digest=digest_of("logs", body)) for body in bodies]
    spool.append(payloads, sources=["otlp_http"] * len(bodies))
    taken = spool.take("logs", after_id=-1, max_records=100, max_bytes=1 << 20)
    for spooled in taken:
        spool.set_aside("logs", spooled, "the disk ate it")
    spool.advance("logs", taken[-1].id)
    spool.close()


def deadletter(data: Path, *arguments: str) -> str:
    result = clew("deadletter", *arguments, "--data", str(data))
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_they_are_listed_with_what_a_person_wants_to_know(tmp_path: Path) -> None:
    set_aside(tmp_path, GOOD)

    [_, line] = deadletter(tmp_path, "list").strip().splitlines()

    assert line.split()[0] == "1"
    for told in ("logs", "otlp_http", "store", "the disk ate it", str(len(GOOD))):
        assert told in line


def test_none_is_said(tmp_path: Path) -> None:
    Spool(tmp_path / "spool.sqlite").close()

    assert deadletter(tmp_path, "list").strip() == "there are no dead letters"


def test_one_is_shown_without_its_values_unless_asked(tmp_path: Path) -> None:
    set_aside(tmp_path, GOOD, UNREADABLE)

    assert SECRET not in deadletter(tmp_path, "show", "1")
    assert "stringValue" in deadletter(tmp_path, "show", "1")
    assert SECRET in deadletter(tmp_path, "show", "1", "--reveal")
    assert "not OTLP" not in deadletter(tmp_path, "show", "2").replace("not an OTLP", "")
    assert repr(UNREADABLE) in deadletter(tmp_path, "show", "2", "--reveal")


def test_a_number_that_there_is_not_is_an_error_that_says_where_to_look(tmp_path: Path) -> None:
    set_aside(tmp_path, GOOD)

    result = clew("deadletter", "replay", "7", "--data", str(tmp_path))

    assert result.returncode == 1
    assert result.stderr == "clew: there is no dead letter 7; clew deadletter list shows those there are\n"


def stored(running: RunningClew) -> list[Any]:
    """What the lines say, the collector's own among them."""
    return [item["body"] for item in httpx.get(f"{running.dashboard_url}/logs?format=json").json()["items"]]


def test_one_that_can_be_stored_now_is_stored_by_the_running_collector(tmp_path: Path) -> None:
    set_aside(tmp_path, GOOD, UNREADABLE)

    with clew_up(tmp_path) as running:
        deadletter(tmp_path, "replay", "--all")
        running.wait_for(lambda: stored(running), lambda bodies: f"paid with {SECRET}" in bodies)
        running.wait_for(lambda: deadletter(tmp_path, "list"), lambda listed: "not OTLP" in listed)

    assert len(deadletter(tmp_path, "list").strip().splitlines()) == 2


def test_one_is_forgotten_for_good(tmp_path: Path) -> None:
    set_aside(tmp_path, GOOD, UNREADABLE)

    deadletter(tmp_path, "delete", "2")

    assert [line.split()[0] for line in deadletter(tmp_path, "list").splitlines()[1:]] == ["1"]
