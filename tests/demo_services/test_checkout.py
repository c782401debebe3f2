import asyncio
from pathlib import Path

import pytest

from clew_demo.orders.models import Order
from clew_demo.payments.provider import DECLINED_CARD
from tests.demo_services.shop_in_process import Fate, ShopInProcess, a_checkout


def test_a_paid_order_can_be_looked_up(tmp_path: Path) -> None:
    shop = ShopInProcess(tmp_path)

    placed = shop.check_out({"mug-stoneware": 2, "tea-sencha": 1})

    assert placed.status_code == 201
    order = shop.get(f"/orders/{placed.json()['id']}").json()
    assert order == placed.json()
    assert order["state"] == "confirmed"
    assert order["total_cents"] == 2 * 1650 + 1290
    shop.assert_consistent()


def test_a_product_listed_twice_counts_twice(tmp_path: Path) -> None:
    shop = ShopInProcess(tmp_path)
    request = a_checkout({"tea-sencha": 1})
    twice = request.content.replace(b'"items":[', b'"items":[{"product_id":"tea-sencha","quantity":2},')
    del request.headers["content-length"]

    [placed] = shop.send(type(request)("POST", request.url, content=twice, headers=request.headers))

    assert placed.json()["lines"][0]["quantity"] == 3
    shop.assert_consistent()


def test_a_declined_card_releases_the_reservation(tmp_path: Path) -> None:
    shop = ShopInProcess(tmp_path)

    refused = shop.check_out({"kettle-gooseneck": 3}, card=DECLINED_CARD)

    assert (refused.status_code, refused.json()["code"]) == (402, "card_declined")
    assert shop.stock("kettle-gooseneck") == 40
    assert shop.rows("orders", "SELECT state, reason FROM orders") == [("failed", "card_declined")]
    shop.assert_consistent()


def test_one_provider_failure_is_made_good_by_a_second_try(tmp_path: Path) -> None:
    shop = ShopInProcess(tmp_path, provider_failures=1)

    assert shop.check_out({"tea-sencha": 1}).status_code == 201
    shop.assert_consistent()


def test_two_provider_failures_fail_the_order(tmp_path: Path) -> None:
    shop = ShopInProcess(tmp_path, provider_failures=2)

    failed = shop.check_out({"tea-sencha": 1})

    assert (failed.status_code, failed.json()["code"]) == (503, "provider_unavailable")
    shop.assert_consistent()


def test_the_last_units_are_sold_once(tmp_path: Path) -> None:
    shop = ShopInProcess(tmp_path)

    answers = shop.send(*[a_checkout({"machine-lever": 1, "tea-sencha": 1}) for _ in range(6)])

    assert sorted(answer.status_code for answer in answers) == [201, 201, 409, 409, 409, 409]
    assert {answer.json()["code"] for answer in answers if answer.is_error} == {"out_of_stock"}
    shop.assert_consistent()


def test_the_same_idempotency_key_buys_once(tmp_path: Path) -> None:
    shop = ShopInProcess(tmp_path)
    headers = {"Idempotency-Key": "k-1"}

    first, second = (shop.check_out({"tea-sencha": 1}, headers=headers) for _ in range(2))

    assert first.json() == second.json()
    assert shop.stock("tea-sencha") == 79
    shop.assert_consistent()


def test_a_failed_order_stays_failed_under_its_idempotency_key(tmp_path: Path) -> None:
    shop = ShopInProcess(tmp_path, provider_failures=2)
    headers = {"Idempotency-Key": "k-1"}
    shop.check_out({"tea-sencha": 1}, headers=headers)

    again = shop.check_out({"tea-sencha": 1}, headers=headers)

    assert (again.status_code, again.json()["code"]) == (409, "order_failed")
    shop.assert_consistent()


@pytest.mark.parametrize(("fate", "status"), [("request lost", 503), ("answer lost", 504), ("breaks", 502)])
def test_money_that_may_have_been_taken_is_given_back(tmp_path: Path, fate: Fate, status: int) -> None:
    shop = ShopInProcess(tmp_path, to_payments=[fate])

    failed = shop.check_out({"tea-sencha": 1})

    assert failed.status_code == status
    shop.assert_consistent()


def test_an_order_that_could_not_be_undone_is_undone_later(tmp_path: Path) -> None:
    shop = ShopInProcess(tmp_path, to_inventory=["answer lost", "request lost"])

    shop.check_out({"tea-sencha": 5})

    assert shop.stock("tea-sencha") == 75
    shop.settle()
    assert shop.stock("tea-sencha") == 80
    assert shop.rows("orders", "SELECT state FROM orders") == [("failed",)]


def test_a_confirmed_order_cannot_be_cancelled(tmp_path: Path) -> None:
    shop = ShopInProcess(tmp_path)
    order = Order.model_validate(shop.check_out({"tea-sencha": 1}).json())

    asyncio.run(shop.checkout.cancel(order, reason="abandoned"))

    assert shop.rows("orders", "SELECT state FROM orders") == [("confirmed",)]
    shop.assert_consistent()


def test_an_unknown_product_is_named(tmp_path: Path) -> None:
    shop = ShopInProcess(tmp_path)

    refused = shop.check_out({"tea-sencha": 1, "flying-carpet": 1})

    assert refused.status_code == 404
    assert "flying-carpet" in refused.json()["detail"]
    shop.assert_consistent()


def test_a_refused_card_number_is_not_repeated_in_the_answer(tmp_path: Path) -> None:
    refused = ShopInProcess(tmp_path).check_out({"tea-sencha": 1}, card="4242-4242-4242-4242")

    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "body.card"
    assert "4242" not in refused.text
