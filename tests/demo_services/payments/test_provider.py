from pathlib import Path
from random import Random

import pytest

from clew_demo.faults.switchboard import Switchboard
from clew_demo.payments.books import Books
from clew_demo.payments.provider import BadDays, CardProvider, ProviderTimedOut, ProviderUnavailable
from clew_demo.traffic.actions import FLAKY_CARD
from tests.demo_services.payments.till import CARD, Scripted, Till, a_charge


def test_about_15_percent_of_the_payments_with_a_flaky_card_fail_for_good(tmp_path: Path) -> None:
    bad_days = BadDays(Random(7))

    fails = sum(all(bad_days(FLAKY_CARD) == "line fails" for _ in range(4)) for _ in range(10_000))

    assert 0.13 < fails / 10_000 < 0.17


def test_other_cards_meet_the_bad_days_of_the_provider_only() -> None:
    bad_days = BadDays(Random(7), failure_rate=0.1, timeout_rate=0.05)

    fates = [bad_days(CARD) for _ in range(10_000)]

    assert set(fates) == {"answers", "refuses", "times out"}
    assert fates.count("refuses") == pytest.approx(1000, rel=0.15)
    assert fates.count("times out") == pytest.approx(500, rel=0.15)


def test_a_charge_that_is_repeated_is_one_charge(tmp_path: Path) -> None:
    books = Books(tmp_path / "books.db")
    fate = Scripted(["times out"])
    provider = CardProvider("first", books=books, fate=fate, faults=Switchboard(tmp_path), sleep=lambda s: None)

    with pytest.raises(ProviderTimedOut):
        provider.charge(a_charge())
    provider.charge(a_charge())

    assert books.balance_cents() == 990


@pytest.mark.parametrize("is_planted", [True, False])
def test_the_fault_closes_the_first_provider_and_not_the_second(is_planted: bool, tmp_path: Path) -> None:
    till = Till(tmp_path)
    if is_planted:
        till.faults.plant("failing-provider")

    till.cashier.charge(a_charge())

    assert till.balances() == ((0, 990) if is_planted else (990, 0))


def test_a_provider_that_refuses_has_charged_nothing(tmp_path: Path) -> None:
    books = Books(tmp_path / "books.db")
    provider = CardProvider(
        "first", books=books, fate=Scripted(["refuses"]), faults=Switchboard(tmp_path), sleep=lambda s: None
    )

    with pytest.raises(ProviderUnavailable):
        provider.charge(a_charge())

    assert books.balance_cents() == 0
