"""How each pattern is found in what the collector has stored of a healthy shop: by spans, links and lines."""

import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from clew_demo.gateway.neighbours import RECOMMENDATIONS_TRY_S
from tests.demo_services.watched_shop import Stored, WatchedShop, watched_shop
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("callers_have_no_clew")

DECLINED_CARD = "4000000000000002"
PAGE = "/products/teapot-iron"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchedShop]:
    with watched_shop(tmp_path_factory.mktemp("patterns")) as shop:
        yield shop


SETTLED = {
    ("accounts", "POST /points"),
    ("accounts", "process accounts.events"),
    ("notifications", "process notifications.requests"),
    ("orders", "process notifications.replies"),
    ("orders", "process orders.events"),
    ("payments", "POST /payments"),
    ("shipping", "process shipping.events"),
}


@pytest.fixture(scope="module")
def bought(shop: WatchedShop) -> Stored:
    """A checkout, with all that it set off."""
    return complete(shop, shop.check_out(), is_settled)


def is_settled(stored: Stored) -> bool:
    """Whether all that a checkout sets off has happened, and is stored."""
    served = {(span["service"], span["name"]) for span in stored["spans"] if span["kind"] in ("server", "consumer")}
    told = {("fraud", "order checked"), ("orders", "order shipped")}
    has_settled = not SETTLED - served and told <= lines(stored) and any(has_reserved(span) for span in stored["spans"])
    return has_settled and not orphans(stored) and "warehouse" in {log["service"] for log in stored["logs"]}


def has_reserved(span: dict[str, Any]) -> bool:
    return bool(span["name"].endswith("/Reserve") and span["kind"] == "server")


def orphans(stored: Stored) -> set[str]:
    """The parents that are still to come."""
    parents_named = {span["parent_span_id"] for span in stored["spans"] if span["parent_span_id"]}
    return parents_named - {span["span_id"] for span in stored["spans"]}


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
    def page_of(stored: Stored) -> list[dict[str, Any]]:
        return named(stored, "GET /products/{product_id}", "catalog")

    pages = [complete(shop, shop.send("GET", PAGE), lambda stored: bool(page_of(stored))) for _ in range(12)]

    instances = {span["resource"]["service.instance.id"] for stored in pages for span in page_of(stored)}

    assert len(instances) == 2


def test_cache_aside_is_a_hit_after_a_miss(shop: WatchedShop) -> None:
    path = "/products/moka-pot"
    looks = [
        named(complete(shop, shop.send("GET", path), lambda stored: bool(named(stored, "GET cache"))), "GET cache")
        for _ in range(2)
    ]

    assert [[span["attributes"]["cache.hit"] for span in look] for look in looks] == [[False], [True]]


def test_a_saga_is_its_steps_in_their_order(bought: Stored) -> None:
    reserve = next(span for span in bought["spans"] if has_reserved(span))
    (pay,) = named(bought, "POST /payments", "payments")
    ship = named(bought, "process shipping.events")[0]

    assert reserve["start_ns"] < pay["start_ns"] < ship["start_ns"]
    assert ("orders", "order shipped") in lines(bought)


def test_compensation_is_the_steps_undone_under_the_same_request(shop: WatchedShop) -> None:
    items = [{"product_id": "tea-sencha", "quantity": 1}]
    request_id = shop.send("POST", "/checkout", {"user": "ada", "items": items, "card": DECLINED_CARD})

    def is_undone(stored: Stored) -> bool:
        told = {("inventory", "stock released"), ("payments", "card declined")}
        return told <= lines(stored) and any(span["name"].endswith("/Release") for span in stored["spans"])

    stored = complete(shop, request_id, is_undone)

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
    (picked,) = [log for log in bought["logs"] if log["service"] == "warehouse"]
    assert "picked order=" in picked["body"]
    assert picked["trace_id"] in bought["trace_ids"]


def test_idempotency_is_an_order_recalled_instead_of_one_more(shop: WatchedShop) -> None:
    first, second = [shop.check_out(headers={"Idempotency-Key": "basket-1"}) for _ in range(2)]

    again = complete(shop, second, lambda stored: ("orders", "order recalled") in lines(stored))

    def is_paid(stored: Stored) -> bool:
        return ("orders", "order paid") in lines(stored) and bool(named(stored, "POST /payments", "payments"))

    once = complete(shop, first, is_paid)
    assert not named(again, "POST /payments")
    assert order_of(again, "order recalled") == order_of(once, "order paid")


def order_of(stored: Stored, line: str) -> str:
    (found,) = {log["attributes"]["order_id"] for log in stored["logs"] if log["body"] == line}
    return str(found)


def test_a_time_out_is_a_call_given_up_and_a_page_without_it(shop: WatchedShop) -> None:
    with shop.planted("breaker-open"):
        page = shop.send("GET", PAGE)

    stored = complete(
        shop,
        page,
        lambda stored: (
            ("gateway", "recommendations left out") in lines(stored)
            and bool(named(stored, "GET /products/{product_id}", "gateway"))
        ),
    )

    asked = "/recommendations/teapot-iron"
    (given_up,) = [span for span in calls_of_root(stored) if span["attributes"].get("url.full", "").endswith(asked)]
    (root,) = named(stored, "GET /products/{product_id}", "gateway")
    assert given_up["attributes"]["error.type"] == "asyncio.exceptions.CancelledError"
    assert given_up["duration_ns"] < 2 * RECOMMENDATIONS_TRY_S * 1e9
    assert root["attributes"]["http.response.status_code"] == 200


def test_a_rate_limit_is_a_refusal_that_names_the_client(shop: WatchedShop) -> None:
    def ask_until_refused() -> str:
        """Pages that do not exist: the cheapest there are."""
        while True:
            request_id, status = shop.ask("GET", "/products/NO-SLUG", headers={"X-Client-ID": "greedy"})
            if status == 429:
                return request_id

    refused = shop.all_at_once(ask_until_refused, times=8)[0]

    stored = complete(
        shop, refused, lambda stored: bool(stored["spans"]) and ("gateway", "rate limited") in lines(stored)
    )
    (root,) = stored["spans"]
    assert root["attributes"]["http.response.status_code"] == 429
    assert stored["logs"][0]["attributes"]["client"] == "greedy"


# The last one: it leaves the shop out of breath.
def test_a_bulkhead_is_pages_turned_away_at_once(shop: WatchedShop) -> None:
    instances = [shop.shop.pid(name) for name in ("catalog", "catalog-2")]
    try:
        for pid in instances:
            os.kill(pid, signal.SIGSTOP)
        pages = shop.all_at_once(lambda: shop.ask("GET", PAGE), times=120)
    finally:
        for pid in instances:
            os.kill(pid, signal.SIGCONT)

    away = [request_id for request_id, status in pages if status == 503]
    turned_away = [stored for stored in map(shop.stored, away) if ("gateway", "bulkhead full") in lines(stored)]
    assert turned_away
    (root,) = turned_away[0]["spans"]
    assert root["attributes"]["bulkhead.name"] == "product pages"
    assert root["attributes"]["http.response.status_code"] == 503
