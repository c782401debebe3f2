import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from clew_demo.fraud.app import SUSPICIOUS_CENTS
from tests.demo_services.neighbours.processes import CALLER, SPAN_ID, TRACE_ID, RunningService, running_service
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("callers_have_no_clew")

RFC_5424 = re.compile(
    r"<(?P<priority>\d{1,3})>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z \S+ fraud \d+ (?P<id>\S+) "
    r'(?P<data>-|(?:\[\S+?(?: \w+="(?:[^"\\\]]|\\.)*")*\])+) (?P<text>.*)',
    re.DOTALL,
)
REQUEST = f'[request@32473 request_id="{CALLER["X-Request-ID"]}" trace_id="{TRACE_ID}" span_id="{SPAN_ID}"]'


@pytest.fixture(scope="module")
def syslog() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(10)
        yield server


@pytest.fixture(scope="module")
def fraud(syslog: socket.socket, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    address = f"127.0.0.1:{syslog.getsockname()[1]}"
    with running_service("fraud", tmp_path_factory.mktemp("fraud"), env={"CLEW_DEMO_SYSLOG": address}) as service:
        yield service


def next_check(syslog: socket.socket) -> re.Match[str]:
    """The next message of the service's own; waitress says something at its start."""
    while True:
        message = RFC_5424.fullmatch(syslog.recv(65_536).decode())
        assert message is not None
        if message["id"] == "checks":
            return message


def test_a_check_is_a_syslog_message_with_the_callers_ids(fraud: RunningService, syslog: socket.socket) -> None:
    answer = fraud.post("/checks", {"order_id": "o-1", "amount_cents": 1200})

    message = next_check(syslog)
    assert answer.json() == {"verdict": "ok"}
    assert message["text"] == "order checked"
    assert message["priority"] == str(16 * 8 + 6)
    assert message["data"] == REQUEST + '[check@32473 order_id="o-1" amount_cents="1200" verdict="ok"]'


def test_a_dear_order_is_suspicious_and_a_warning(fraud: RunningService, syslog: socket.socket) -> None:
    answer = fraud.post("/checks", {"order_id": "o-2", "amount_cents": SUSPICIOUS_CENTS})

    assert answer.json() == {"verdict": "suspicious"}
    assert next_check(syslog)["priority"] == str(16 * 8 + 4)


def test_what_would_end_structured_data_is_escaped(fraud: RunningService, syslog: socket.socket) -> None:
    fraud.post("/checks", {"order_id": 'o"]\\', "amount_cents": 1200})

    assert r'order_id="o\"\]\\" amount' in next_check(syslog)["data"]


@pytest.mark.parametrize(
    "body", [None, [], {"order_id": "o-1"}, {"order_id": 1, "amount_cents": 1}, {"order_id": "o", "amount_cents": 0}]
)
def test_what_is_no_check_is_refused_and_logged(fraud: RunningService, syslog: socket.socket, body: object) -> None:
    assert fraud.post("/checks", body).status_code == 422
    assert (message := next_check(syslog))["text"] == "check refused"
    assert message["data"] == REQUEST


def test_without_a_syslog_server_the_same_goes_to_standard_error(tmp_path: Path) -> None:
    with running_service("fraud", tmp_path) as service:
        service.post("/checks", {"order_id": "o-1", "amount_cents": 1200})
        wait_until(lambda: "order checked" in service.output)

    message = RFC_5424.fullmatch(next(line for line in service.output.splitlines() if "order checked" in line))
    assert message is not None
    assert REQUEST in message["data"]
