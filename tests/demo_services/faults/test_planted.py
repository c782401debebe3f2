"""Each fault is told from what the collector has stored: the claims below are the queries that tell it."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from clew_demo.faults.catalogue import FAULTS
from tests.demo_services.watched_shop import Stored, WatchedShop, watched_shop
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("callers_have_no_clew")

SEEN_TIMEOUT_S = 60.0
SENT_TIMEOUT_S = 10.0
PAGE = "/products/teapot-iron"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchedShop]:
    with watched_shop(tmp_path_factory.mktemp("faults")) as shop:
        yield shop


def spans(stored: Stored, service: str, name: str) -> list[dict[str, Any]]:
    return [span for span in stored["spans"] if span["service"] == service and span["name"] == name]


def seen(shop: WatchedShop, request_id: str, service: str, name: str) -> list[dict[str, Any]]:
    """Spans of a request, once the service has sent them, each in its own time; none if it was not called after all."""

    def has_sent(stored: Stored) -> bool:
        return bool(spans(stored, service, name))

    with suppress(AssertionError):
        return spans(shop.stored(request_id, having=has_sent, timeout_s=SENT_TIMEOUT_S), service, name)
    return []


def lines(stored: Stored, service: str, body: str) -> list[dict[str, Any]]:
    return [log for log in stored["logs"] if log["service"] == service and log["body"] == body]


def slow_database(shop: WatchedShop) -> bool:
    updates = seen(shop, shop.check_out(), "inventory", "UPDATE products")
    return any(span["duration_ns"] >= 400_000_000 for span in updates)


def failing_provider(shop: WatchedShop) -> bool:
    charges = seen(shop, shop.check_out(), "payments", "charge card")
    return any(span["status"] == "error" for span in charges) and any(span["status"] != "error" for span in charges)


def lost_context(shop: WatchedShop) -> bool:
    shop.check_out()
    return any("gateway" not in request["services"] for request in shop.requests(service="shipping"))


def n_plus_one(shop: WatchedShop) -> bool:
    return len(seen(shop, shop.send("GET", "/products"), "catalog", "SELECT products")) > 10


def retry_storm(shop: WatchedShop) -> bool:
    return len(seen(shop, shop.send("GET", PAGE), "catalog", "GET /products/{product_id}")) >= 5


def poison_message(shop: WatchedShop) -> bool:
    shop.check_out()
    return bool(shop.logs(service="notifications", text="dead letter"))


def bad_deploy(shop: WatchedShop) -> bool:
    pages = seen(shop, shop.send("GET", PAGE), "catalog", "GET /products/{product_id}")
    return any(span["status"] == "error" and span["attributes"].get("service.version") == "2.1.0" for span in pages)


def version_break(shop: WatchedShop) -> bool:
    payments = seen(shop, shop.check_out(), "payments", "POST /payments")
    return any(span["attributes"]["http.response.status_code"] == 422 for span in payments)


def clock_skew(shop: WatchedShop) -> bool:
    request_id = shop.check_out()
    earned = seen(shop, request_id, "accounts", "POST /points")
    ends = {span["span_id"]: span["start_ns"] + span["duration_ns"] for span in shop.stored(request_id)["spans"]}
    return any(span["start_ns"] > ends.get(span["parent_span_id"], span["start_ns"]) for span in earned)


def cache_stampede(shop: WatchedShop) -> bool:
    ids = shop.all_at_once(lambda: shop.send("GET", PAGE), times=8)
    loads = [line for each in ids for line in lines(shop.stored(each), "catalog", "product page loaded")]
    return len(loads) >= 6


def lock_contention(shop: WatchedShop) -> bool:
    shop.send("POST", "/restock")
    ids = shop.all_at_once(lambda: shop.check_out("machine-lever"), times=3)
    waits = [span for each in ids for span in seen(shop, each, "inventory", "acquire lock")]
    return any(span["duration_ns"] >= 250_000_000 for span in waits)


def breaker_open(shop: WatchedShop) -> bool:
    shop.send("GET", PAGE)
    opened = shop.logs(service="gateway", text="circuit breaker opened")
    return any("recommendations" in str(log["attributes"]) for log in opened)


def saga_stuck(shop: WatchedShop) -> bool:
    request_id = shop.check_out()
    processed = seen(shop, request_id, "orders", "process orders.events")
    seen(shop, shop.check_out(), "orders", "process orders.events")  # what the first will ever have is stored by now
    return bool(processed) and not lines(shop.stored(request_id), "orders", "order shipped")


def memory_leak(shop: WatchedShop) -> bool:
    for _ in range(10):
        shop.send("POST", "/login", {"user": "ada"})
    usage = [log["attributes"]["rss_bytes"] for log in shop.logs(service="accounts", text="process usage", limit=3)]
    return len(usage) == 3 and usage[0] - usage[-1] > 5_000_000


TELLS: dict[str, Callable[[WatchedShop], bool]] = {
    "slow-database": slow_database,
    "failing-provider": failing_provider,
    "lost-context": lost_context,
    "n-plus-one": n_plus_one,
    "retry-storm": retry_storm,
    "poison-message": poison_message,
    "bad-deploy": bad_deploy,
    "version-break": version_break,
    "clock-skew": clock_skew,
    "cache-stampede": cache_stampede,
    "lock-contention": lock_contention,
    "breaker-open": breaker_open,
    "saga-stuck": saga_stuck,
    "memory-leak": memory_leak,
}
"""By fault: do what it spoils, and whether what is stored shows it."""


def test_every_fault_is_told_by_a_query() -> None:
    assert TELLS.keys() == FAULTS.keys()


@pytest.mark.parametrize("fault", TELLS)
def test_a_planted_fault_is_told_from_what_is_stored(shop: WatchedShop, fault: str) -> None:
    is_seen = TELLS[fault]

    wait_until(lambda: not is_seen(shop), timeout_s=SEEN_TIMEOUT_S)  # the last one may still be seen, or half stored
    with shop.planted(fault):
        wait_until(lambda: is_seen(shop), timeout_s=SEEN_TIMEOUT_S, every_s=0.3)
