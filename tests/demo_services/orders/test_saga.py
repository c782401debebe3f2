import asyncio
from pathlib import Path
from typing import get_args

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clew_demo.orders.event_store import Conflict
from clew_demo.orders.events import Event
from clew_demo.orders.models import Order
from clew_demo.problems import Problem
from tests.demo_services.orders.neighbours import DECLINED, PRICE_CENTS, WRAP_CENTS, Fate, OrdersInProcess

FATES = st.lists(st.sampled_from(get_args(Fate)), max_size=10)


def test_a_paid_order_holds_stock_and_money_and_is_announced_once(tmp_path: Path) -> None:
    service = OrdersInProcess(tmp_path)

    order = service.place(2, gift_wrap=True)

    assert isinstance(order, Order)
    assert order == service.orders.find(order.id)
    assert (order.state, order.total_cents) == ("paid", 2 * PRICE_CENTS + WRAP_CENTS)
    assert service.events(order.id) == ["placed", "reserved", "paid"]
    lines = [{"product_id": "tea-sencha", "quantity": 2}]
    body = {"order_id": order.id, "user": "ada", "total_cents": order.total_cents, "lines": lines}
    assert service.to_be_sent() == [("order.paid", body)]
    service.assert_balanced()


@pytest.mark.parametrize(
    ("wanted", "to_inventory", "to_payments", "code"),
    [
        ({"quantity": 11}, [], [], "out_of_stock"),
        ({"card": DECLINED}, [], [], "card_declined"),
        ({}, ["request lost"], [], "inventory_unavailable"),
        ({}, ["answer lost"], [], "inventory_timeout"),
        ({}, [], ["request lost"], "payments_unavailable"),
        ({}, [], ["answer lost"], "payments_timeout"),
    ],
)
def test_a_step_that_fails_has_what_may_have_happened_before_undone(
    tmp_path: Path, wanted: dict[str, int | str], to_inventory: list[Fate], to_payments: list[Fate], code: str
) -> None:
    service = OrdersInProcess(tmp_path, to_inventory=to_inventory, to_payments=to_payments)

    problem = service.place(**wanted)  # type: ignore[arg-type]  # a table of different keywords

    assert isinstance(problem, Problem)
    assert problem.code == code
    (order,) = service.found()
    assert (order.state, order.reason) == ("failed", code)
    assert service.to_be_sent() == []
    service.assert_balanced()


def test_without_compensations_the_stock_of_a_failed_order_stays_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The twin of the test above, with the pattern switched off."""

    async def do_nothing(order: Order) -> None: ...

    service = OrdersInProcess(tmp_path)
    monkeypatch.setattr(service.checkout, "undo", do_nothing)

    service.place(card=DECLINED)

    assert list(service.shelves.reserved.values()) == [1]


def test_a_compensation_that_fails_is_repeated_until_it_is_done(tmp_path: Path) -> None:
    service = OrdersInProcess(tmp_path, to_inventory=["answer lost", "request lost", "request lost"])
    service.place(5)

    service.settle()
    assert [order.state for order in service.found()] == ["cancelling"]
    assert list(service.shelves.reserved.values()) == [5]

    service.settle()
    assert [order.state for order in service.found()] == ["failed"]
    service.assert_balanced()


def test_an_order_that_a_crash_left_half_way_is_undone_when_it_is_old_enough(tmp_path: Path) -> None:
    service = OrdersInProcess(tmp_path)
    new = Order(id="o-1", user="ada", state="pending")
    service.orders.place(new, idempotency_key="k-1")
    service.shelves.reserved["o-1"] = 1
    service.till.taken_cents["o-1"] = 500

    asyncio.run(service.checkout.settle_unfinished())
    assert [order.state for order in service.found()] == ["pending"]

    service.settle()
    assert [(order.state, order.reason) for order in service.found()] == [("failed", "abandoned")]
    service.assert_balanced()


def test_a_paid_order_is_not_undone_however_old_it_is(tmp_path: Path) -> None:
    service = OrdersInProcess(tmp_path)
    service.a_paid_order()

    service.settle()

    assert [order.state for order in service.found()] == ["paid"]
    service.assert_balanced()


@pytest.mark.parametrize("has_key", [True, False])
def test_the_same_idempotency_key_buys_once(tmp_path: Path, has_key: bool) -> None:
    """Without the key it buys twice."""
    service = OrdersInProcess(tmp_path)
    key = "k-1" if has_key else None

    first, second = service.place(key=key), service.place(key=key)

    assert (first == second) is has_key
    assert len(service.found()) == (1 if has_key else 2)
    service.assert_balanced()


def test_a_failed_order_stays_failed_under_its_idempotency_key(tmp_path: Path) -> None:
    service = OrdersInProcess(tmp_path)
    service.place(key="k-1", card=DECLINED)

    again = service.place(key="k-1")

    assert isinstance(again, Problem)
    assert (again.status, again.code) == (409, "order_failed")


def test_an_event_on_an_order_that_has_changed_meanwhile_is_a_conflict(tmp_path: Path) -> None:
    service = OrdersInProcess(tmp_path)
    seen = service.orders.place(Order(id="o-1", user="ada", state="pending"), idempotency_key=None)
    service.orders.record(seen, Event("cancelling", {"reason": "abandoned"}))

    with pytest.raises(Conflict):
        service.orders.record(seen, Event("paid"))

    assert service.events("o-1") == ["placed", "cancelling"]
    assert service.to_be_sent() == []


def test_an_order_that_is_called_off_while_it_is_being_paid_is_not_paid(tmp_path: Path) -> None:
    service = OrdersInProcess(tmp_path)
    charge = service.till._charge

    def charge_late(content: bytes) -> httpx.Response:
        answer = charge(content)
        (pending,) = service.found()
        service.orders.record(pending, Event("cancelling", {"reason": "abandoned"}))
        return answer

    service.till._charge = charge_late  # type: ignore[method-assign]  # the moment that is hard to meet
    problem = service.place()

    assert isinstance(problem, Problem)
    assert problem.code == "order_cancelled"
    service.assert_balanced()


def test_a_version_break_has_each_payment_refused(tmp_path: Path) -> None:
    service = OrdersInProcess(tmp_path)
    service.faults.plant("version-break")

    problem = service.place()

    assert isinstance(problem, Problem)
    assert (problem.status, problem.code) == (422, "invalid_request")
    service.assert_balanced()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(to_inventory=FATES, to_payments=FATES, quantities=st.lists(st.integers(1, 6), min_size=1, max_size=4))
def test_stock_and_money_add_up_whatever_is_lost(
    tmp_path_factory: pytest.TempPathFactory, to_inventory: list[Fate], to_payments: list[Fate], quantities: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("lost")
    service = OrdersInProcess(folder, to_inventory=to_inventory, to_payments=to_payments)

    for quantity in quantities:
        service.place(quantity)
    while any(order.state in ("pending", "cancelling") for order in service.found()):
        service.settle()

    service.assert_balanced()
