"""How each pattern is found in what the collector has stored of a healthy shop: by spans, links and lines."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.demo_services.waiting import wait_until
from tests.demo_services.watched_shop import Stored, WatchedShop, watched_shop

pytestmark = pytest.mark.usefixtures("callers_have_no_clew")

DECLINED_CARD = "4000000000000002"
PAGE = "/products/teapot-iron"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchedShop]:
    with watched_shop(tmp_path_factory.mktemp("patterns")) as shop:
        yield shop


@pytest.fixture(scope="module")
def bought(shop: WatchedShop) -> Stored:
    """A checkout, with all that it set off."""
    return complete(shop, shop.check_out(), is_settled)


def is_settled(stored: Stored) -> bool:
    """Whether all that a checkout sets off has happened, and is stored."""
    settled = {"process notifications.replies", "process accounts.events", "POST /points"}
    return settled <= {span["name"] for span in stored["spans"]} and ("fraud", "order checked") in lines(stored)


def complete(shop: WatchedShop, request_id: str, is_complete: Callable[[Stored], bool]) -> Stored:
    wait_until(lambda: is_complete(shop.stored(request_id)), timeout_s=30)
    return shop.stored(request_id)


def named(stored: Stored, name: str, service: str | None = None) -> list[dict[str, Any]]:
    return [span for span in stored["spans"] if span["name"] == name and service in (None, span["service"])]


def lines(stored: Stored) -> set[tuple[str, str]]:
    return {(log["service"], log["body"]) for log in stored["logs"]}


def calls_of_root(stored: Stored) -> list[dict[str, Any]]:
    (root,) = [span for span in stored["spans"] if not span["parent_span_id"]]
    return [span for span in stored["spans"] if span["parent_span_id"] == root["span_id"] and span["kind"] == "client"]


def parents(stored: Stored, span: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Those that a span is under, nearest first."""
    by_id = {each["span_id"]: each for each in stored["spans"]}
    while (span := by_id.get(span["parent_span_id"], {})) != {}:
        yield span


def test_a_fan_out_is_calls_side_by_side(shop: WatchedShop) -> None:
    stored = complete(shop, shop.send("GET", PAGE), lambda stored: len(calls_of_root(stored)) >= 4)
    calls = calls_of_root(stored)

    ends_ns = [span["start_ns"] + span["duration_ns"] for span in calls]

    assert sum(span["duration_ns"] for span in calls) > max(ends_ns) - min(span["start_ns"] for span in calls)


def test_aggregation_is_two_services_under_one_answer(bought: Stored) -> None:
    (root,) = named(bought, "POST /checkout")

    asked = [span for name in ("POST /orders", "POST /points") for span in named(bought, name)]

    assert {span["service"] for span in asked} == {"orders", "accounts"}
    assert all(root in parents(bought, span) for span in asked)


def test_load_balancing_is_pages_of_two_instances(shop: WatchedShop) -> None:
    pages = [complete(shop, shop.send("GET", PAGE), lambda stored: len(calls_of_root(stored)) >= 4) for _ in range(12)]

    instances = {
        span["resource"]["service.instance.id"]
        for stored in pages
        for span in named(stored, "GET /products/{product_id}", "catalog")
    }

    assert len(instances) == 2


def test_cache_aside_is_a_hit_after_a_miss(shop: WatchedShop) -> None:
    path = "/products/moka-pot"
    looks = [
        named(complete(shop, shop.send("GET", path), lambda stored: bool(named(stored, "GET cache"))), "GET cache")
        for _ in range(2)
    ]

    assert [[span["attributes"]["cache.hit"] for span in look] for look in looks] == [[False], [True]]


def test_a_saga_is_its_steps_in_their_order(bought: Stored) -> None:
    reserve = next(span for span in bought["spans"] if span["name"].endswith("/Reserve") and span["kind"] == "server")
    (pay,) = named(bought, "POST /payments", "payments")
    ship = named(bought, "process shipping.events")[0]

    assert reserve["start_ns"] < pay["start_ns"] < ship["start_ns"]
    assert ("orders", "order shipped") in lines(bought)


def test_compensation_is_the_steps_undone_under_the_same_request(shop: WatchedShop) -> None:
    items = [{"product_id": "tea-sencha", "quantity": 1}]
    request_id = shop.send("POST", "/checkout", {"user": "ada", "items": items, "card": DECLINED_CARD})

    stored = complete(shop, request_id, lambda stored: ("inventory", "stock released") in lines(stored))

    assert any(span["name"].endswith("/Release") for span in stored["spans"])
    assert ("payments", "card declined") in lines(stored)


def test_an_outbox_is_a_relay_under_the_request_that_wrote_it(bought: Stored) -> None:
    (relay,) = named(bought, "relay order.paid")
    (root,) = named(bought, "POST /checkout")

    assert root in parents(bought, relay)
    assert relay["start_ns"] >= next(parents(bought, relay))["start_ns"]


def test_a_message_is_processed_under_its_publishing_and_linked_to_it(bought: Stored) -> None:
    for queue in ("shipping.events", "accounts.events", "orders.events", "notifications.requests"):
        for process in named(bought, f"process {queue}"):
            published = next(parents(bought, process))

            assert published["name"].startswith("publish ")
            assert [link["span_id"] for link in process["links"]] == [published["span_id"]]


def test_request_and_reply_queues_are_two_consumers_in_one_trace(bought: Stored) -> None:
    (answered,) = named(bought, "process notifications.replies")

    before = list(parents(bought, answered))

    # The mail server fails now and then: then there are several attempts, and the last one is answered.
    assert any(asked in before for asked in named(bought, "process notifications.requests"))


def test_a_lock_is_a_span_only_for_what_is_scarce(shop: WatchedShop, bought: Stored) -> None:
    shop.send("POST", "/restock")

    complete(shop, shop.check_out("machine-lever"), lambda stored: bool(named(stored, "acquire lock", "inventory")))

    assert not named(bought, "acquire lock")


def test_neighbours_without_clew_are_on_the_request_all_the_same(shop: WatchedShop, bought: Stored) -> None:
    page = shop.send("GET", "/products/press-french")

    complete(shop, page, lambda stored: {"recommendations", "pricing"} <= {each["service"] for each in stored["spans"]})
    assert ("fraud", "order checked") in lines(bought)
