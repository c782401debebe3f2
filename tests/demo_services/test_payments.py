from pathlib import Path

import pytest

from clew_demo.payments.cashier import Cashier, PaymentInProgress, PaymentVoided
from clew_demo.payments.database import Payments
from clew_demo.payments.models import Charge
from clew_demo.payments.provider import DECLINED_CARD, CardDeclined, ProviderUnavailable
from tests.demo_services.shop_in_process import GOOD_CARD, ScriptedProvider


@pytest.fixture
def payments(tmp_path: Path) -> Payments:
    return Payments(tmp_path / "payments.db")


def a_cashier(payments: Payments, provider: ScriptedProvider) -> Cashier:
    return Cashier(payments, provider, sleep=lambda seconds: None)


def a_charge(card: str = GOOD_CARD) -> Charge:
    return Charge(order_id="o-1", amount_cents=990, card=card)


def test_an_order_is_charged_once(payments: Payments) -> None:
    provider = ScriptedProvider()
    cashier = a_cashier(payments, provider)

    cashier.charge(a_charge())
    cashier.charge(a_charge())

    assert provider.balance_cents == 990


def test_a_declined_card_stays_declined(payments: Payments) -> None:
    cashier = a_cashier(payments, ScriptedProvider())
    with pytest.raises(CardDeclined):
        cashier.charge(a_charge(DECLINED_CARD))

    with pytest.raises(CardDeclined):
        cashier.charge(a_charge())


def test_the_provider_is_asked_twice_and_not_more(payments: Payments) -> None:
    provider = ScriptedProvider(failures=3)

    with pytest.raises(ProviderUnavailable):
        a_cashier(payments, provider).charge(a_charge())

    assert provider.failures == 1


def test_voiding_twice_refunds_once(payments: Payments) -> None:
    provider = ScriptedProvider()
    cashier = a_cashier(payments, provider)
    cashier.charge(a_charge())

    assert [cashier.void("o-1"), cashier.void("o-1")] == [990, 0]
    assert provider.balance_cents == 0


def test_a_charge_that_comes_after_its_void_is_refused(payments: Payments) -> None:
    provider = ScriptedProvider()
    cashier = a_cashier(payments, provider)
    cashier.void("o-1")

    with pytest.raises(PaymentVoided):
        cashier.charge(a_charge())
    assert provider.balance_cents == 0


def test_a_void_while_the_provider_works_gives_the_money_back(payments: Payments) -> None:
    class SlowProvider(ScriptedProvider):
        def charge(self, card: str, amount_cents: int) -> None:
            super().charge(card, amount_cents)
            payments.void("o-1")

    provider = SlowProvider()

    with pytest.raises(PaymentVoided):
        a_cashier(payments, provider).charge(a_charge())
    assert provider.balance_cents == 0


def test_a_second_charge_while_the_first_is_under_way_is_refused(payments: Payments) -> None:
    payments.open(a_charge())

    with pytest.raises(PaymentInProgress):
        a_cashier(payments, ScriptedProvider()).charge(a_charge())


def test_only_the_last_four_digits_of_a_card_are_kept(payments: Payments) -> None:
    a_cashier(payments, ScriptedProvider()).charge(a_charge())

    payment = payments.find("o-1")

    assert payment is not None
    assert payment.card_last4 == GOOD_CARD[-4:]
