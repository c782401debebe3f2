import os
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from clew.testing import ClewRequests
from clew_demo.faults.switchboard import Switchboard
from tests.demo_services.payments.till import CARD
from tests.servers.processes import Server, answers_http, free_port, running
from tests.waiting import wait_until

ABSENT = "http://127.0.0.1:9"


@contextmanager
def running_payments(folder: Path) -> Iterator[Server]:
    """`python -m clew_demo.payments`, without a fraud check."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    argv = [sys.executable, "-m", "clew_demo.payments", "--port", str(port)]
    env = {"CLEW_DEMO_DATA": str(folder), "CLEW_DEMO_FRAUD_URL": ABSENT}
    with running(argv, name="payments", is_ready=answers_http(f"{url}/healthz"), folder=folder, env=env) as pid:
        yield Server(url=url, pid=pid)


def pay(url: str, *, order_id: str = "o-1") -> httpx.Response:
    body = {"order_id": order_id, "amount_cents": 990, "card": CARD}
    return httpx.post(f"{url}/payments", json=body, trust_env=False, timeout=10)


def money(folder: Path) -> int:
    """What the providers hold."""
    connection = sqlite3.connect(folder / "card-providers.db")
    try:
        query = "SELECT coalesce(sum(amount_cents), 0) FROM charges WHERE state = 'charged'"
        return int(connection.execute(query).fetchone()[0])
    finally:
        connection.close()


def test_a_payment_is_one_trace_with_its_fraud_check_provider_and_statements(
    clew_requests: ClewRequests, tmp_path: Path
) -> None:
    with running_payments(tmp_path) as server:
        with clew_requests.new() as request:
            assert pay(server.url).status_code == 201
        request.wait_complete(services=["payments"], logs=2)

    request.look()  # all of it: the server has ended
    request.no_orphans()
    request.assert_hop("tests", "payments")
    request.assert_span("POST /payments", service="payments")
    request.assert_span("charge card", payment__provider="first")
    request.assert_span("UPDATE payments", db__system__name="sqlite")
    request.assert_logged("fraud check skipped", service="payments", level="WARNING", order_id="o-1")
    request.assert_logged("payment captured", service="payments", order_id="o-1", amount_cents=990)
    assert "charges" not in {span.attributes.get("db.collection.name") for span in request.captured.spans}


def test_a_failing_provider_is_seen_in_its_calls_and_the_second_takes_over(
    clew_requests: ClewRequests, tmp_path: Path
) -> None:
    Switchboard(tmp_path).plant("failing-provider")
    with running_payments(tmp_path) as server:
        with clew_requests.new() as request:
            answers = [pay(server.url, order_id=f"o-{number}").status_code for number in range(4)]
        request.wait_complete(services=["payments"], logs=8)

    charges = [span for span in request.look().spans if span.name == "charge card"]
    assert answers == [201] * 4
    assert [span.status.upper() for span in charges if span.attributes["payment.provider"] == "first"] == ["ERROR"] * 5
    assert len([span for span in charges if span.attributes["payment.provider"] == "second"]) == 4
    request.assert_logged("card provider failed, trying once more", service="payments")
    request.assert_logged("circuit breaker opened", service="payments", breaker="first")
    request.assert_logged("card provider given up", provider="first", reason="the circuit to first is open")
    request.assert_span("POST /payments", circuit_breaker__name="first", circuit_breaker__state="open")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_payment_under_way_is_answered_before_the_process_ends(
    number: signal.Signals, clew_requests: ClewRequests, tmp_path: Path
) -> None:
    answers: list[int] = []
    with running_payments(tmp_path) as server:
        with clew_requests.new() as request:
            paying = threading.Thread(target=lambda: answers.append(pay(server.url).status_code))
            paying.start()
            wait_until(lambda: _is_under_way(tmp_path), every_s=0.002)
            os.kill(server.pid, number)
            told_s = time.monotonic()
            paying.join()
        wait_until(lambda: _has_ended(server.pid), every_s=0.02)
        took_s = time.monotonic() - told_s

    assert answers == [201]
    assert took_s < 8
    request.wait_complete(services=["payments"], logs=2).assert_logged("payment captured")


def test_money_that_a_killed_process_took_is_given_back_by_the_next(tmp_path: Path) -> None:
    with running_payments(tmp_path) as server:
        paying = threading.Thread(target=_pay_in_vain, args=[server.url])
        paying.start()
        wait_until(lambda: _is_under_way(tmp_path), every_s=0.002)
        os.kill(server.pid, signal.SIGKILL)
        paying.join()
    if money(tmp_path) == 0:  # killed before the provider had it: take it now, as a call that was on its way would
        connection = sqlite3.connect(tmp_path / "card-providers.db")
        with connection:
            connection.execute("INSERT INTO charges VALUES ('first', 'o-1', 990, 'charged')")
        connection.close()

    with running_payments(tmp_path) as server:
        wait_until(lambda: money(tmp_path) == 0)
        assert pay(server.url).json()["code"] == "provider_unavailable"


def _pay_in_vain(url: str) -> None:
    with pytest.raises(httpx.HTTPError):
        pay(url)


def _is_under_way(folder: Path) -> bool:
    """Whether the provider is being asked."""
    connection = sqlite3.connect(folder / "payments.db")
    try:
        return bool(connection.execute("SELECT 1 FROM attempts WHERE state = 'asked'").fetchall())
    finally:
        connection.close()


def _has_ended(pid: int) -> bool:
    """Whether a child of this process has: it stays a zombie until its parent has looked."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
