"""Shipping as a process, over each broker."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from clew_demo.faults.switchboard import Switchboard
from clew_demo.messaging.broker import connect
from clew_demo.messaging.consumer import Consumer
from clew_demo.messaging.dead_letters import dead_letters
from clew_demo.messaging.events import Message
from clew_demo.messaging.publishing import publish
from clew_demo.shipping.database import Shipments
from tests.demo_services.neighbours.brokers import empty, received
from tests.demo_services.neighbours.processes import CALLER, TRACE_ID, RunningService, running_service
from tests.demo_services.otlp_sink import OtlpSink
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("callers_have_no_clew")

LINES = [{"product_id": "moka-pot", "quantity": 2}]


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with running_service("warehouse", tmp_path_factory.mktemp("warehouse")) as service:
        yield service


@contextmanager
def running_shipping(
    broker_url: str, folder: Path, warehouse_url: str, *, otlp_endpoint: str = "http://127.0.0.1:9"
) -> Iterator[RunningService]:
    env = {
        "CLEW_DEMO_BROKER_URL": broker_url,
        "CLEW_DEMO_WAREHOUSE_URL": warehouse_url,
        "OTEL_EXPORTER_OTLP_ENDPOINT": otlp_endpoint,
    }
    with running_service("shipping", folder, env=env, listens=False) as service:
        yield service


def send(broker_url: str, name: str, *order_ids: str) -> None:
    with connect(broker_url) as connection:
        for order_id in order_ids:
            body = {"order_id": order_id, "user": "ada", "total_cents": 1, "reason": "", "lines": LINES}
            publish(connection, Message(f"{name}-{order_id}", name, body), headers=CALLER)


def kill_while_it_works(shipping: RunningService) -> None:
    wait_until(lambda: "shipment booked" in shipping.output, every_s=0.01)
    shipping.process.kill()
    shipping.process.wait()


def replies(broker_url: str, count: int) -> list[tuple[Message, dict[str, str]]]:
    """What orders hears, once it is so much."""
    found: list[tuple[Message, dict[str, str]]] = []

    def is_complete() -> bool:
        found.extend(received(broker_url, "orders.events"))
        return len(found) >= count

    wait_until(is_complete)
    return found


@pytest.mark.parametrize("planted", [False, True], ids=["healthy", "lost-context"])
def test_news_of_a_paid_order_is_answered_with_news_of_its_shipment(
    broker_url: str, tmp_path: Path, warehouse: RunningService, planted: bool
) -> None:
    """Choreography, in one trace from the order to the warehouse's log; with the fault planted, in another one."""
    if planted:
        Switchboard(tmp_path).plant("lost-context")
    with (
        OtlpSink() as sink,
        running_shipping(broker_url, tmp_path, warehouse.url, otlp_endpoint=sink.endpoint) as shipping,
    ):
        send(broker_url, "order.paid", order_id := f"o-{tmp_path.name}")
        ((booked, headers),) = replies(broker_url, 1)
        took_s = shipping.stop()

    assert (booked.name, booked.body["order_id"]) == ("shipment.booked", order_id)
    assert (headers["X-Request-ID"] == CALLER["X-Request-ID"]) is not planted
    assert (TRACE_ID in headers["traceparent"]) is not planted
    (processing,) = [span for span in sink.spans if span.name == "process shipping.events"]
    assert (processing.trace_id == TRACE_ID) is not planted
    warehouse_log = (warehouse.data / "logs" / "warehouse.log").read_text()
    line = next(line for line in warehouse_log.splitlines() if f"order={order_id} " in line)
    assert (f"trace={TRACE_ID}" in line) is not planted
    assert f"trace={processing.trace_id}" in line
    assert took_s < 8


@pytest.mark.parametrize("cares", [True, False])
def test_whoever_cares_hears_of_it_and_nobody_else(broker_url: str, cares: bool) -> None:
    """Choreography: the sender names what happened, the binding decides who hears of it."""
    publish(broker_url, Message("m-1", "order.paid" if cares else "notification.settled", {"order_id": "o-1"}))

    assert len(received(broker_url, "shipping.events")) == len(received(broker_url, "accounts.events")) == int(cares)


def test_a_cancelled_order_does_not_stay_booked(broker_url: str, tmp_path: Path, warehouse: RunningService) -> None:
    order_id = f"o-{tmp_path.name}"
    with running_shipping(broker_url, tmp_path, warehouse.url):
        send(broker_url, "order.paid", order_id)
        replies(broker_url, 1)
        send(broker_url, "order.cancelled", order_id)
        shipments = Shipments(tmp_path / "shipping.db")
        wait_until(lambda: shipments.state(order_id) == "cancelled")
        shipments.close()


def test_an_order_outlasts_a_warehouse_that_is_away(broker_url: str, tmp_path: Path, warehouse: RunningService) -> None:
    """Redelivery until done. Without it, the news is a dead letter and the order is never shipped."""
    with running_shipping(broker_url, tmp_path, "http://127.0.0.1:9") as shipping:
        send(broker_url, "order.paid", order_id := f"o-{tmp_path.name}")
        wait_until(lambda: "message failed, trying again" in shipping.output)
        shipping.stop()

    with running_shipping(broker_url, tmp_path, warehouse.url):
        ((booked, _),) = replies(broker_url, 1)

    assert (booked.name, booked.body["order_id"]) == ("shipment.booked", order_id)
    assert dead_letters(broker_url, "shipping.events") == []


def test_without_redelivery_the_news_is_a_dead_letter(broker_url: str) -> None:
    """The twin of the test above."""

    def fail(message: Message) -> None:
        raise ConnectionError("the warehouse is away")

    consumer = Consumer(broker_url, "shipping.events", fail, max_attempts=1)
    consumer.start()
    send(broker_url, "order.paid", "o-1")
    try:
        wait_until(lambda: len(dead_letters(broker_url, "shipping.events")) == 1)
    finally:
        consumer.stop()


def test_a_killed_shipping_books_all_orders_once(rabbitmq_url: str, tmp_path: Path, warehouse: RunningService) -> None:
    """Only where the broker notices at once: Redis delivers again after a minute."""
    empty(rabbitmq_url)
    order_ids = {f"o-{tmp_path.name}-{number}" for number in range(40)}
    send(rabbitmq_url, "order.paid", *order_ids)
    for _ in range(2):
        with running_shipping(rabbitmq_url, tmp_path, warehouse.url) as shipping:
            kill_while_it_works(shipping)

    with running_shipping(rabbitmq_url, tmp_path, warehouse.url):
        # A message that was sent and not yet deleted when the process was killed is sent twice, under the same ID.
        booked: dict[str, str] = {}
        while booked.keys() != order_ids:
            for message, _ in replies(rabbitmq_url, 1):
                tracking = booked.setdefault(message.body["order_id"], message.body["tracking"])
                assert tracking == message.body["tracking"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_promptly_while_the_broker_is_away(tmp_path: Path, number: signal.Signals) -> None:
    with running_shipping("redis://127.0.0.1:9/0", tmp_path, "http://127.0.0.1:9") as shipping:
        wait_until(lambda: "message broker is away" in shipping.output)

        assert shipping.stop(number) < 3
