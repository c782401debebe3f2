"""clew's pytest plugin: the fixture `clew_requests`, and a file with each followed request of a test that failed."""

import json
import os
import re
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from clew.testing import ClewRequests, RunningCollector

FOLDER: Final = "clew-requests"
_KEY: Final = pytest.StashKey["ClewRequests"]()
_VARIABLES: Final = ("CLEW_ENDPOINT", "CLEW_BATCH_DELAY_S")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--clew-requests DIR`: where the files go."""
    parser.getgroup("clew").addoption(
        "--clew-requests",
        default=FOLDER,
        metavar="DIR",
        help=f"where the requests of failed tests are written, as JSON and as text (default: {FOLDER})",
    )


@pytest.fixture(scope="session")
def clew_collector() -> "Iterator[RunningCollector]":
    """A collector for all tests, as a process; this process and those that it starts send to it.

    Tests of which some want their environment untouched override it with a narrower scope::

        clew_collector = pytest.fixture(everything_sends_to_a_collector, scope="module")
    """
    yield from everything_sends_to_a_collector()


def everything_sends_to_a_collector() -> "Iterator[RunningCollector]":
    """Start a collector, have this process and its children send to it, and put back what was before."""
    from clew.testing import running_collector

    before = {name: os.environ.get(name) for name in _VARIABLES}
    with running_collector() as collector:
        os.environ.update({"CLEW_ENDPOINT": collector.endpoint, "CLEW_BATCH_DELAY_S": "0.05"})
        put_back = _point_this_process_at(collector.endpoint)
        try:
            yield collector
        finally:
            put_back()
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})


@pytest.fixture
def clew_requests(clew_collector: "RunningCollector", request: pytest.FixtureRequest) -> "ClewRequests":
    """Requests that this test makes and follows over all the processes they go through."""
    from clew.testing import ClewRequests

    made = ClewRequests(clew_collector, request.node.name)
    request.node.stash[_KEY] = made
    return made


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: "pytest.CallInfo[Any]"
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Write what a failed test's requests emitted, and show them in its report."""
    report = yield
    made = item.stash.get(_KEY, None)
    if report.when == "call" and report.failed and made is not None:
        for number, followed in enumerate(made.followed):
            report.sections.append(("clew request", _write(item, number, followed)))
    return report


def _point_this_process_at(endpoint: str) -> Callable[[], None]:
    """Switch clew on here, or let what is switched on already send to the collector, too; how to undo that."""
    import dataclasses

    import clew
    from clew.runtime import RUNTIME

    before: dict[str, Any] | None = None
    if RUNTIME.exporter is not None:
        settings = RUNTIME.settings
        before = {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)}
    given = before or {"service": "tests", "log_format": "none"}
    clew.configure(**{**given, "endpoint": endpoint, "batch_delay_s": 0.05})

    def put_back() -> None:
        clew.shutdown()
        if before is not None:
            clew.configure(**before)

    return put_back


def _write(item: pytest.Item, number: int, followed: Any) -> str:
    """Write one request; what to show of it. Never raises: the test's own failure is what counts."""
    try:
        captured = followed.look()
        folder = Path(item.config.getoption("--clew-requests"))
        name = re.sub(r"[^\w.-]+", "_", f"{item.nodeid}-{number}")[-150:]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.json").write_text(json.dumps(captured.json, indent=1))
        (folder / f"{name}.txt").write_text(f"{captured}\n")
        return f"{captured}\nwritten to {folder / name}.json"
    except Exception as error:  # noqa: BLE001
        return f"request {followed.correlation_id} could not be written: {type(error).__name__}: {error}"
