from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from clew_demo.payments.cashier import PaymentInProgress, PaymentVoided
from clew_demo.payments.provider import DECLINED_CARD, CardDeclined, CardProvider, Fate, ProviderUnavailable
from tests.demo_services.payments.till import CARD, Scripted, Till, a_charge
from tests.waiting import wait_until

DOWN: Fate = "refuses"


def test_an_order_is_charged_once(tmp_path: Path) -> None:
    till = Till(tmp_path)

    till.cashier.charge(a_charge())
    till.cashier.charge(a_charge())

    assert till.balances() == (990, 0)


def test_a_declined_card_stays_declined_and_is_not_taken_to_the_other_provider(tmp_path: Path) -> None:
    till = Till(tmp_path)

    for _ in range(2):
        with pytest.raises(CardDeclined):
            till.cashier.charge(a_charge(DECLINED_CARD))

    assert (till.first.calls, till.second.calls) == (1, 0)


@pytest.mark.parametrize(("tries", "balances"), [(2, (990, 0)), (1, (0, 990))])
def test_a_provider_that_stumbles_is_asked_once_more(tries: int, balances: tuple[int, int], tmp_path: Path) -> None:
    """With one try there is no retry: the payment leaves the first provider."""
    till = Till(tmp_path, first=Scripted([DOWN]), tries=tries)

    till.cashier.charge(a_charge())

    assert till.balances() == balances


def test_each_provider_is_asked_twice_and_not_more(tmp_path: Path) -> None:
    till = Till(tmp_path, first=Scripted(afterwards=DOWN), second=Scripted(afterwards=DOWN))

    with pytest.raises(ProviderUnavailable):
        till.cashier.charge(a_charge())

    assert (till.first.calls, till.second.calls) == (2, 2)


def test_the_second_provider_takes_over_when_the_first_fails(tmp_path: Path) -> None:
    till = Till(tmp_path, first=Scripted(afterwards=DOWN))

    till.cashier.charge(a_charge())

    assert till.balances() == (0, 990)


def test_without_a_second_provider_the_payment_fails(tmp_path: Path) -> None:
    till = Till(tmp_path, first=Scripted(afterwards=DOWN), has_second=False)

    with pytest.raises(ProviderUnavailable):
        till.cashier.charge(a_charge())


@pytest.mark.parametrize(("failures", "calls"), [(5, 5), (1000, 20)])
def test_the_breaker_leaves_a_failing_provider_alone(failures: int, calls: int, tmp_path: Path) -> None:
    """With a threshold out of reach there is no breaker: the provider gets every call."""
    till = Till(tmp_path, first=Scripted(afterwards=DOWN), failures=failures)

    for number in range(10):
        till.cashier.charge(a_charge(order_id=f"o-{number}"))

    assert till.first.calls == calls
    assert till.balances() == (0, 10 * 990)


def test_the_breaker_lets_a_provider_come_back(tmp_path: Path) -> None:
    till = Till(tmp_path, first=Scripted([DOWN] * 5), open_s=0.05)
    numbers = iter(range(1000))

    def is_back() -> bool:
        till.cashier.charge(a_charge(order_id=f"o-{next(numbers)}"))
        return till.balances()[0] > 0

    with capture_logs() as logs:
        wait_until(is_back, every_s=0.01)

    changes = [log["event"] for log in logs if log["event"].startswith("circuit breaker")]
    assert changes == ["circuit breaker opened", "circuit breaker closed"]


def test_a_bad_card_network_is_not_held_against_the_providers(tmp_path: Path) -> None:
    till = Till(tmp_path, first=Scripted(["line fails"] * 20), second=Scripted(["line fails"] * 20))

    for number in range(10):
        with pytest.raises(ProviderUnavailable):
            till.cashier.charge(a_charge(order_id=f"o-{number}"))
    till.cashier.charge(a_charge(order_id="o-last"))

    assert till.balances() == (990, 0)


class Deaf(CardProvider):
    """A provider at which voids have no effect: what the exactly-once tests must notice."""

    def void(self, order_id: str) -> None: ...


@pytest.mark.parametrize(("provider", "balances"), [(CardProvider, (0, 990)), (Deaf, (990, 990))])
def test_a_charge_that_timed_out_is_voided_before_the_next_provider_is_asked(
    provider: type[CardProvider], balances: tuple[int, int], tmp_path: Path
) -> None:
    till = Till(tmp_path, first=Scripted(["times out"]), provider=provider)

    till.cashier.charge(a_charge())

    assert till.balances() == balances


def test_a_void_that_a_provider_cannot_do_stays_due_until_it_can(tmp_path: Path) -> None:
    till = Till(tmp_path, first=Scripted(["times out", DOWN]))
    till.cashier.charge(a_charge())
    before = till.balances()

    till.cashier.void_all_due()

    assert (before, till.balances()) == ((990, 990), (0, 990))
    assert till.payments.voids_due() == []


def test_voiding_twice_refunds_once(tmp_path: Path) -> None:
    till = Till(tmp_path)
    till.cashier.charge(a_charge())

    assert [till.cashier.void("o-1"), till.cashier.void("o-1")] == [990, 0]
    assert till.balances() == (0, 0)


def test_a_refund_is_made_where_the_money_is(tmp_path: Path) -> None:
    till = Till(tmp_path, first=Scripted(afterwards=DOWN))
    till.cashier.charge(a_charge())

    assert till.cashier.void("o-1") == 990
    assert till.balances() == (0, 0)


def test_a_charge_that_comes_after_its_void_is_refused(tmp_path: Path) -> None:
    till = Till(tmp_path)
    till.cashier.void("o-1")

    with pytest.raises(PaymentVoided):
        till.cashier.charge(a_charge())
    assert till.balances() == (0, 0)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_void_while_the_provider_works_gives_the_money_back(moment: str, tmp_path: Path) -> None:
    tills: list[Till] = []

    class Overtaken(CardProvider):
        def charge(self, charge: object) -> None:
            if moment == "before":
                tills[0].cashier.void("o-1")
            super().charge(charge)  # type: ignore[arg-type]  # the test's own charge
            if moment == "after":
                tills[0].cashier.void("o-1")

    tills.append(Till(tmp_path, provider=Overtaken))

    with pytest.raises(PaymentVoided):
        tills[0].cashier.charge(a_charge())
    assert tills[0].balances() == (0, 0)


def test_a_second_charge_while_the_first_is_under_way_is_refused(tmp_path: Path) -> None:
    till = Till(tmp_path)
    till.payments.open(a_charge())

    with pytest.raises(PaymentInProgress):
        till.cashier.charge(a_charge())


@pytest.mark.parametrize("recovers", [True, False])
def test_a_payment_that_died_half_way_is_given_back_by_the_next_process(recovers: bool, tmp_path: Path) -> None:
    """Without the recovery, the provider keeps money for an order that nobody has paid."""

    class Killed(BaseException): ...

    class Dying(CardProvider):
        def charge(self, charge: object) -> None:
            super().charge(charge)  # type: ignore[arg-type]  # the test's own charge
            raise Killed

    with pytest.raises(Killed):
        Till(tmp_path, provider=Dying).cashier.charge(a_charge())
    successor = Till(tmp_path)

    if recovers:
        successor.cashier.recover()
    successor.cashier.void_all_due()

    assert successor.balances() == ((0, 0) if recovers else (990, 0))


def test_only_the_last_four_digits_of_a_card_are_kept(tmp_path: Path) -> None:
    till = Till(tmp_path)
    till.cashier.charge(a_charge())

    payment = till.payments.find("o-1")

    assert payment is not None
    assert payment.card_last4 == CARD[-4:]
    assert all(CARD.encode() not in file.read_bytes() for file in tmp_path.iterdir())


def unreachable(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused")


@pytest.mark.parametrize(
    "answer", [unreachable, lambda _: httpx.Response(500), lambda _: httpx.Response(200, text="?")]
)
def test_a_fraud_check_that_is_away_is_done_without(answer: object, tmp_path: Path) -> None:
    till = Till(tmp_path, verdict=answer)  # type: ignore[arg-type]  # one of three kinds of functions

    with capture_logs() as logs:
        till.cashier.charge(a_charge())

    assert till.balances() == (990, 0)
    assert "fraud check skipped" in [log["event"] for log in logs]


def test_a_suspicious_payment_is_said_to_be_so(tmp_path: Path) -> None:
    till = Till(tmp_path, verdict=lambda _: httpx.Response(200, json={"verdict": "suspicious"}))

    with capture_logs() as logs:
        till.cashier.charge(a_charge())

    assert {"event": "payment is suspicious", "order_id": "o-1", "amount_cents": 990}.items() <= logs[0].items()
    assert till.balances() == (990, 0)
