"""What keeps a collector that watches itself from talking to itself."""

import logging
import subprocess
import sys

import pytest

from clew.context import NO_IDS
from clew.logs.record import LogRecord
from clew.logs.stdlib_bridge import describe
from clew.runtime import RUNTIME
from clew.spans import Scope
from clew_server.own_telemetry import ENDPOINT_VARIABLE, REPEAT_AFTER_S, Sparing, observe_itself

DEAD_ENDPOINT = "http://127.0.0.1:9"


def a_line(body: str = "store unavailable", **attributes: object) -> LogRecord:
    return LogRecord(Scope("clew"), 0, 0, 17, "ERROR", body, dict(attributes), NO_IDS)  # type: ignore[arg-type]


class Lines:
    """A `Sparing` under a clock of the test's."""

    def __init__(self) -> None:
        self.passed: list[LogRecord] = []
        self.now_s = 0.0
        self.put = Sparing(self.passed.append, clock_s=lambda: self.now_s)


def test_of_lines_that_say_the_same_one_is_passed_on() -> None:
    lines = Lines()

    for number in range(1_000):
        lines.put(a_line(error=f"try {number}"))

    assert [line.attributes for line in lines.passed] == [{"error": "try 0"}]


def test_the_next_one_after_a_while_says_how_many_were_not() -> None:
    lines = Lines()
    for _ in range(4):
        lines.put(a_line())
    lines.now_s = REPEAT_AFTER_S

    lines.put(a_line())
    lines.put(a_line())

    assert [line.attributes.get("clew.repeated") for line in lines.passed] == [None, 3]


def test_lines_that_say_something_else_are_passed_on() -> None:
    lines = Lines()

    for body in ("store unavailable", "store available again", "payload set aside"):
        lines.put(a_line(body))

    assert len(lines.passed) == 3


def test_a_line_of_logging_is_known_by_its_place_whatever_is_in_its_text() -> None:
    lines = Lines()

    for number in range(100):
        record = logging.makeLogRecord(
            {
                "name": "uvicorn.error",
                "msg": "bad request %d",
                "args": (number,),
                "levelno": 30,
                "pathname": "x.py",
                "lineno": 7,
            }
        )
        lines.put(describe(record))

    assert [line.body for line in lines.passed] == ["bad request 0"]


def test_what_is_known_of_lines_is_bounded() -> None:
    lines = Lines()

    for number in range(5_000):
        lines.put(a_line(f"line {number}"))

    assert len(lines.passed) == 5_000
    assert len(lines.put._known) <= 500


def test_nothing_happens_unless_it_is_said_where_to_send_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENDPOINT_VARIABLE, raising=False)
    before = RUNTIME.exporter, RUNTIME.put_log, RUNTIME.settings

    observe_itself("store")

    assert (RUNTIME.exporter, RUNTIME.put_log, RUNTIME.settings) == before


def test_a_collector_that_does_not_answer_is_one_line_and_the_process_ends_in_time() -> None:
    program = (
        "import logging, time\n"
        "from clew_server.process import configure_logging\n"
        "from clew_server.own_telemetry import observe_itself\n"
        "configure_logging()\n"
        "observe_itself('intake')\n"
        "logging.getLogger('uvicorn.error').warning('one')\n"
        "deadline_s = time.monotonic() + 6\n"
        "while time.monotonic() < deadline_s:\n"
        "    logging.getLogger('uvicorn.error').warning('two')\n"
        "    time.sleep(0.1)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={ENDPOINT_VARIABLE: DEAD_ENDPOINT, "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        timeout=30,
    )

    assert done.returncode == 0, done.stderr
    own = [line for line in done.stderr.splitlines() if "uvicorn" not in line]
    assert len(own) == 1, done.stderr
    assert f"the collector at {DEAD_ENDPOINT} does not take spans and logs" in own[0]
