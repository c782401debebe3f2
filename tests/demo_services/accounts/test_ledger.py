import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clew_demo.accounts.ledger import Ledger
from clew_demo.accounts.models import Account, Cancellation, Purchase


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "accounts.db")
    yield ledger
    ledger.close()


def a_purchase(order_id: str = "o-1", *, user: str = "ada", total_cents: int = 1999) -> Purchase:
    return Purchase(order_id=order_id, user=user, total_cents=total_cents)


def a_cancellation(order_id: str = "o-1", *, user: str = "ada") -> Cancellation:
    return Cancellation(order_id=order_id, user=user)


def points(ledger: Ledger, user: str = "ada") -> int:
    account = ledger.find(user)
    assert account is not None
    return account.points


def test_each_full_euro_is_a_point(ledger: Ledger) -> None:
    assert ledger.earn(a_purchase(total_cents=1999)).points_earned == 19


# Of another order it earns again: what keeps the second call from that is the order's ID, and nothing else.
@pytest.mark.parametrize(("second_order", "balance"), [("o-1", 19), ("o-2", 38)])
def test_the_same_order_earns_once_and_is_answered_alike(ledger: Ledger, second_order: str, balance: int) -> None:
    ledger.earn(a_purchase("o-1"))

    earned = ledger.earn(a_purchase(second_order))

    assert (earned.points_earned, earned.balance) == (19, balance)


@pytest.mark.parametrize(("second_message", "balance"), [("m-1", 19), ("m-2", 38)])
def test_the_same_message_has_its_effect_once(ledger: Ledger, second_message: str, balance: int) -> None:
    ledger.earn(a_purchase("o-1"), message_id="m-1")
    ledger.earn(a_purchase("o-2"), message_id=second_message)

    assert points(ledger) == balance


def test_an_order_earns_once_however_many_ask_at_the_same_time(ledger: Ledger) -> None:
    with ThreadPoolExecutor(8) as threads:
        earned = list(threads.map(ledger.earn, [a_purchase()] * 30))

    assert {(each.points_earned, each.balance) for each in earned} == {(19, 19)}


def test_points_are_taken_back_once(ledger: Ledger) -> None:
    ledger.earn(a_purchase("o-1"))
    ledger.earn(a_purchase("o-2", total_cents=500))

    assert [ledger.take_back(a_cancellation("o-1")) for _ in range(2)] == [19, 0]
    assert points(ledger) == 5


def test_a_taking_back_that_overtakes_the_earning_wins(ledger: Ledger) -> None:
    assert ledger.take_back(a_cancellation()) == 0

    earned = ledger.earn(a_purchase())

    assert (earned.points_earned, earned.balance) == (0, 0)


def test_a_user_is_known_from_the_first_login_or_order_on(ledger: Ledger) -> None:
    assert ledger.find("ada") is None

    assert [ledger.welcome("ada"), ledger.welcome("ada")] == [True, False]
    ledger.earn(a_purchase(user="grace"))

    assert ledger.find("ada") == Account(user="ada", points=0)
    assert ledger.find("grace") == Account(user="grace", points=19)


ORDERS = st.sampled_from(["o-1", "o-2", "o-3"])
STEPS = st.lists(st.tuples(st.sampled_from(["earn", "take back"]), ORDERS, st.sampled_from([None, "m-1", "m-2"])))


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_the_balance_is_that_of_orders_that_were_paid_and_not_called_off(
    steps: list[tuple[str, str, str | None]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "accounts.db")
        ledger.welcome("ada")
        paid, called_off = set(), set()
        for step, order_id, message in steps:
            message_id = message and f"{message}:{step}:{order_id}"
            if step == "earn":
                ledger.earn(a_purchase(order_id), message_id=message_id)
                paid.add(order_id)
            else:
                ledger.take_back(a_cancellation(order_id), message_id=message_id)
                called_off.add(order_id)

        assert points(ledger) == 19 * len(paid - called_off)
        ledger.close()
