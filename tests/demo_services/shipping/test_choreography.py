"""What shipping does on hearing news, with a real warehouse; each delivery is a call here."""

import itertools
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest

from clew_demo.messaging.consumer import Reject
from clew_demo.messaging.events import Message
from clew_demo.shipping.choreography import MOST_UNITS, Shipping
from clew_demo.shipping.database import Shipments
from clew_demo.shipping.models import Line
from clew_demo.shipping.warehouse import Warehouse
from tests.demo_services.neighbours.processes import RunningService, running_service

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with running_service("warehouse", tmp_path_factory.mktemp("warehouse")) as service:
        yield service


@pytest.fixture
def shipments(tmp_path: Path) -> Iterator[Shipments]:
    shipments = Shipments(tmp_path / "shipping.db")
    yield shipments
    shipments.close()


@pytest.fixture
def shipping(shipments: Shipments, warehouse: RunningService) -> Shipping:
    return a_shipping(shipments, warehouse.url)


@pytest.fixture
def order_id() -> str:
    return f"o-{next(_numbers)}"


def a_shipping(shipments: Shipments, warehouse_url: str, *, attempts: int = 3) -> Shipping:
    trackings = (f"CT-{number}" for number in itertools.count(1))
    return Shipping(shipments, Warehouse(warehouse_url, attempts=attempts), new_tracking=lambda: next(trackings))


def paid(order_id: str, *, quantity: int = 1, product_id: str = "moka-pot") -> Message:
    lines = [{"product_id": product_id, "quantity": quantity}]
    body = {"order_id": order_id, "user": "ada", "total_cents": 3450, "lines": lines}
    return Message(f"paid-{order_id}", "order.paid", body)


def cancelled(order_id: str) -> Message:
    body = {"order_id": order_id, "user": "ada", "reason": "changed their mind"}
    return Message(f"cancelled-{order_id}", "order.cancelled", body)


def said(shipments: Shipments) -> list[tuple[str, dict[str, Any]]]:
    """The news in the outbox."""
    with shipments.database.read() as statements:
        return [(row["name"], json.loads(row["body"])) for row in statements.execute("SELECT * FROM outbox")]


def is_picked(warehouse: RunningService, order_id: str) -> bool:
    """Whether the warehouse had a pick; it has none afterwards."""
    return bool(warehouse.delete(f"/picks/{order_id}").json()["was_picked"])


def test_a_paid_order_is_picked_and_booked(
    shipping: Shipping, shipments: Shipments, warehouse: RunningService, order_id: str
) -> None:
    shipping.handle(paid(order_id))

    assert said(shipments) == [("shipment.booked", {"order_id": order_id, "tracking": "CT-1"})]
    assert is_picked(warehouse, order_id)


@pytest.mark.parametrize("remembers", [True, False])
def test_an_order_is_shipped_once_however_often_it_is_delivered(
    shipping: Shipping, shipments: Shipments, order_id: str, remembers: bool
) -> None:
    """Idempotent consumer. Without its memory, the same message has its effect twice."""
    shipping.handle(paid(order_id))
    if not remembers:
        with shipments.database.write() as statements:
            statements.execute("DELETE FROM shipments")

    shipping.handle(paid(order_id))

    assert len(said(shipments)) == (1 if remembers else 2)


def test_more_units_than_fit_are_refused(
    shipping: Shipping, shipments: Shipments, warehouse: RunningService, order_id: str
) -> None:
    shipping.handle(paid(order_id, quantity=MOST_UNITS + 1))

    ((name, body),) = said(shipments)
    assert (name, body["order_id"]) == ("shipment.refused", order_id)
    assert not is_picked(warehouse, order_id)


def test_as_many_units_as_fit_are_shipped(shipping: Shipping, shipments: Shipments, order_id: str) -> None:
    shipping.handle(paid(order_id, quantity=MOST_UNITS))

    assert said(shipments)[0][0] == "shipment.booked"


def test_what_the_warehouse_does_not_know_is_refused(shipping: Shipping, shipments: Shipments, order_id: str) -> None:
    for _ in range(2):
        shipping.handle(paid(order_id, product_id="unicorn"))

    reason = "There is no shelf for unicorn."
    assert said(shipments) == [("shipment.refused", {"order_id": order_id, "reason": reason})]


def test_a_cancelled_order_is_put_back(
    shipping: Shipping, shipments: Shipments, warehouse: RunningService, order_id: str
) -> None:
    shipping.handle(paid(order_id))

    for _ in range(2):
        shipping.handle(cancelled(order_id))

    assert shipments.state(order_id) == "cancelled"
    assert not is_picked(warehouse, order_id)


def test_an_order_that_is_cancelled_before_it_is_paid_stays(
    shipping: Shipping, shipments: Shipments, warehouse: RunningService, order_id: str
) -> None:
    shipping.handle(cancelled(order_id))

    shipping.handle(paid(order_id))

    assert said(shipments) == []
    assert not is_picked(warehouse, order_id)


def test_an_order_that_is_cancelled_while_it_is_picked_is_put_back(
    shipments: Shipments, warehouse: RunningService, order_id: str
) -> None:
    def cancel_meanwhile() -> str:
        shipments.cancel(order_id)
        return "CT-1"

    Shipping(shipments, Warehouse(warehouse.url), new_tracking=cancel_meanwhile).handle(paid(order_id))

    assert said(shipments) == []
    assert not is_picked(warehouse, order_id)


@pytest.mark.parametrize(
    "message",
    [
        Message("m-1", "order.lost", {"order_id": "o-1"}),
        Message("m-1", "order.paid", {}),
        Message("m-1", "order.paid", {"order_id": "o-1", "lines": []}),
        Message("m-1", "order.paid", {"order_id": "o-1", "lines": [{"product_id": "moka-pot", "quantity": 0}]}),
        Message("m-1", "order.cancelled", {"order_id": 7}),
    ],
)
def test_nonsense_is_rejected(shipping: Shipping, shipments: Shipments, message: Message) -> None:
    with pytest.raises(Reject):
        shipping.handle(message)

    assert said(shipments) == []


def test_without_a_warehouse_nothing_is_said_until_it_is_back(
    shipments: Shipments, warehouse: RunningService, order_id: str
) -> None:
    with pytest.raises(httpx.ConnectError):
        a_shipping(shipments, "http://127.0.0.1:9").handle(paid(order_id))
    assert (said(shipments), shipments.state(order_id)) == ([], None)

    a_shipping(shipments, warehouse.url).handle(paid(order_id))

    assert shipments.state(order_id) == "booked"


@pytest.mark.parametrize("attempts", [3, 1])
def test_a_stumbling_warehouse_is_asked_again(attempts: int) -> None:
    """Retry. With one attempt only, the first bad answer is the last."""
    with _StumblingWarehouse(failures=2) as stumbling:
        warehouse = Warehouse(stumbling.url, attempts=attempts)
        lines = [Line(product_id="moka-pot", quantity=1)]
        if attempts == 1:
            with pytest.raises(httpx.HTTPStatusError):
                warehouse.pick("o-1", lines)
        else:
            assert warehouse.pick("o-1", lines) == "pick-3"


class _StumblingWarehouse:
    """Answers 503 some times, then 200."""

    def __init__(self, *, failures: int) -> None:
        calls = itertools.count(1)

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                call = next(calls)
                self.rfile.read(int(self.headers["Content-Length"]))
                body = json.dumps({"pick_id": f"pick-{call}"}).encode()
                self.send_response(200 if call > failures else 503)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None: ...

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "_StumblingWarehouse":
        Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.shutdown()
        self._server.server_close()
