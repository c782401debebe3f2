import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clew_demo.clock import SKEW_S
from clew_demo.faults.switchboard import LOOK_EVERY_S, Switchboard
from clew_demo.messaging.events import Message
from clew_demo.messaging.publishing import publish
from tests.demo_services.accounts.test_tokens import checked
from tests.demo_services.messaging.brokers import empty
from tests.demo_services.neighbours.processes import TRACE_ID, RunningService, running_service
from tests.instrumentation.fake_collector import FakeCollector, running_collector
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("callers_have_no_clew")

PURCHASE = {"order_id": "o-1", "user": "ada", "total_cents": 4_250}
STOP_TIMEOUT_S = 3


@pytest.fixture(scope="module")
def collector() -> Iterator[FakeCollector]:
    with running_collector() as collector:
        yield collector


@pytest.fixture(scope="module")
def accounts(
    fakeredis_url: str, collector: FakeCollector, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningService]:
    empty(fakeredis_url)
    env = {"CLEW_DEMO_BROKER_URL": fakeredis_url, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
    with running_service("accounts", tmp_path_factory.mktemp("accounts"), env=env) as service:
        yield service


def seconds_ahead(accounts: RunningService, collector: FakeCollector) -> float:
    """By how much the clock of accounts is ahead, as the span of a request says."""
    known = len(collector.spans)
    asked_s = time.time()
    assert accounts.post("/points", PURCHASE).status_code == 200
    spans = collector.wait_for(lambda: [span for span in collector.spans[known:] if span.name == "POST /points"])
    return float(spans[-1].start_time_unix_nano / 1e9 - asked_s)


def test_a_clock_that_is_ahead_shows_in_its_spans_and_breaks_no_token(
    accounts: RunningService, collector: FakeCollector
) -> None:
    faults = Switchboard(accounts.data)
    assert abs(seconds_ahead(accounts, collector)) < 5
    faults.plant("clock-skew")

    wait_until(lambda: seconds_ahead(accounts, collector) > SKEW_S - 5, timeout_s=LOOK_EVERY_S + 10)
    token = accounts.post("/tokens", {"user": "ada"}).json()["token"]
    faults.lift("clock-skew")

    claims = checked(token, accounts.get("/.well-known/jwks.json").json())
    assert abs(claims["iat"] - time.time()) < 5
    wait_until(lambda: abs(seconds_ahead(accounts, collector)) < 5, timeout_s=LOOK_EVERY_S + 10)


def test_a_request_and_its_statements_are_in_the_callers_trace(
    accounts: RunningService, collector: FakeCollector
) -> None:
    accounts.post("/points", PURCHASE)

    def spans() -> dict[str, str]:
        return {span.name: span.trace_id.hex() for span in collector.spans}

    collector.wait_for(lambda: {"POST /points", "INSERT earnings"} <= spans().keys())
    assert {spans()[name] for name in ("POST /points", "INSERT earnings")} == {TRACE_ID}


def test_news_of_orders_are_booked_by_the_process(accounts: RunningService, fakeredis_url: str) -> None:
    for message_id in ("m-1", "m-1"):
        publish(fakeredis_url, Message(message_id, "order.paid", {**PURCHASE, "order_id": "o-2", "user": "grace"}))

    wait_until(lambda: accounts.get("/users/grace").is_success)

    assert accounts.get("/users/grace").json() == {"user": "grace", "points": 42}


def test_it_says_what_it_uses(accounts: RunningService, collector: FakeCollector) -> None:
    lines = collector.wait_for(lambda: [log for log in collector.logs if log.body.string_value == "process usage"])

    used = {pair.key: pair.value for pair in lines[0].attributes}
    assert used["rss_bytes"].int_value > 10_000_000
    assert used["cpu_s"].double_value > 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("broker", ["there", "away"])
def test_it_stops_when_told(tmp_path: Path, fakeredis_url: str, number: signal.Signals, broker: str) -> None:
    url = fakeredis_url if broker == "there" else "redis://127.0.0.1:9/0"
    with running_service("accounts", tmp_path, env={"CLEW_DEMO_BROKER_URL": url}) as service:
        assert service.stop(number) < STOP_TIMEOUT_S
