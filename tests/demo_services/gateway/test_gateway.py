import asyncio
import sqlite3
from pathlib import Path

import httpx
import pytest
import structlog

from clew_demo.gateway.neighbours import RECOMMENDATIONS_FAILURES
from clew_demo.gateway.shop import Compartments
from clew_demo.resilience.bulkhead import Bulkhead
from tests.demo_services.gateway.gateway_in_process import GatewayInProcess


@pytest.fixture
def gateway(tmp_path: Path) -> GatewayInProcess:
    return GatewayInProcess(tmp_path)


def test_all_products_are_listed(gateway: GatewayInProcess) -> None:
    assert len(gateway.get("/products").json()) == 3


def test_a_product_page_is_put_together_from_four_answers(gateway: GatewayInProcess) -> None:
    page = gateway.get("/products/tea-sencha").json()

    assert (page["id"], page["price_cents"]) == ("tea-sencha", 1290)
    assert page["available"] == 80
    assert [product["id"] for product in page["related"]] == ["moka-pot"]
    assert page["recommended"] == ["press-french"]


def test_a_product_page_shows_what_the_user_saw_before(gateway: GatewayInProcess) -> None:
    for product_id in ("moka-pot", "tea-sencha"):
        gateway.get(f"/products/{product_id}?user=ada")
        gateway.now_s += 1

    assert gateway.get("/products/press-french?user=ada").json()["recently_viewed"] == ["tea-sencha", "moka-pot"]
    assert gateway.get("/products/press-french?user=bela").json()["recently_viewed"] == []


def test_a_product_page_comes_without_its_optional_parts(gateway: GatewayInProcess) -> None:
    gateway.inventory.is_well = False
    gateway.network.down.add("recommendations")

    with structlog.testing.capture_logs() as logs:
        page = gateway.get("/products/tea-sencha").json()

    assert (page["id"], page["available"], page["recommended"]) == ("tea-sencha", None, [])
    lines = {line["event"]: line.get("reason") for line in logs}
    assert lines["stock left out"] == "inventory_unavailable"
    assert lines["recommendations left out"] == "recommendations_unavailable"


def test_a_product_page_needs_its_product(gateway: GatewayInProcess) -> None:
    gateway.network.down.update({"catalog", "catalog-2"})

    answer = gateway.get("/products/tea-sencha")

    assert (answer.status_code, answer.json()["code"]) == (503, "catalog_unavailable")


def test_recommendations_that_keep_silent_are_not_asked_any_more(gateway: GatewayInProcess) -> None:
    gateway.recommendations.is_well = False
    page = httpx.Request("GET", "http://gateway/products/tea-sencha")

    with structlog.testing.capture_logs() as logs:
        first = gateway.send(*[page] * RECOMMENDATIONS_FAILURES)
        later = gateway.send(*[page] * 10)

    assert {answer.status_code for answer in first + later} == {200}
    assert gateway.recommendations.asked == RECOMMENDATIONS_FAILURES
    lines = [line["event"] for line in logs]
    assert lines.count("circuit breaker opened") == 1
    reasons = [line["reason"] for line in logs if line["event"] == "recommendations left out"]
    assert reasons.count("recommendations_circuit_open") == 10


def test_one_bad_instance_of_the_catalog_is_made_up_for_by_the_other(gateway: GatewayInProcess) -> None:
    gateway.catalogs[0].fails = True

    # As many as the retry budget has retries for: each page asks the catalog twice.
    answers = [gateway.get("/products/tea-sencha").status_code for _ in range(2)]

    assert answers == [200] * 2


def test_one_dead_instance_of_the_catalog_is_not_felt(gateway: GatewayInProcess) -> None:
    gateway.network.down.add("catalog-2")

    answers = [gateway.get("/products/tea-sencha").status_code for _ in range(10)]

    assert answers == [200] * 10


def test_both_instances_of_the_catalog_serve_product_pages(gateway: GatewayInProcess) -> None:
    for _ in range(40):
        gateway.get("/products/tea-sencha")

    assert all(catalog.asked for catalog in gateway.catalogs)


@pytest.mark.parametrize(("fault", "asked"), [(None, 3), ("retry-storm", 6)])
def test_a_retry_storm_asks_five_times_more(gateway: GatewayInProcess, fault: str | None, asked: int) -> None:
    if fault:
        gateway.faults.plant(fault)
    for catalog in gateway.catalogs:
        catalog.fails = True

    answer = gateway.get("/products/tea-sencha")

    assert (answer.status_code, answer.json()["code"]) == (502, "catalog_failed")
    assert sum(len(catalog.asked) for catalog in gateway.catalogs) == asked


def test_a_checkout_purchases_and_earns_points(gateway: GatewayInProcess) -> None:
    placed = gateway.check_out(**{"idempotency-key": "k-1"})

    assert placed.status_code == 201
    assert (placed.json()["id"], placed.json()["total_cents"]) == ("o-1", 2590)
    assert placed.json()["points"]["points_earned"] == 25
    assert gateway.accounts.points == [{"order_id": "o-1", "user": "ada", "total_cents": 2590}]
    assert gateway.orders.placed[0]["idempotency-key"] == "k-1"


def test_a_checkout_does_not_wait_for_points(gateway: GatewayInProcess) -> None:
    gateway.accounts.is_well = False

    with structlog.testing.capture_logs() as logs:
        placed = gateway.check_out()

    assert (placed.status_code, placed.json()["id"], placed.json()["points"]) == (201, "o-1", None)
    assert "points are earned later" in [line["event"] for line in logs]


def a_narrow_gateway(folder: Path, *, places: int) -> GatewayInProcess:
    checkouts = Bulkhead("checkouts", places=places, queue=0, wait_s=1)
    return GatewayInProcess(folder, compartments=Compartments(checkouts=checkouts))


@pytest.mark.parametrize(("places", "busy"), [(2, 3), (1000, 0)], ids=["with a bulkhead", "without one"])
def test_too_many_slow_checkouts_are_turned_away_and_product_pages_go_on(
    tmp_path: Path, places: int, busy: int
) -> None:
    gateway = a_narrow_gateway(tmp_path, places=places)
    gateway.orders.may_finish.clear()

    async def run() -> tuple[list[httpx.Response], httpx.Response]:
        async with gateway.client() as client, asyncio.timeout(10):
            checkouts = [asyncio.create_task(client.send(gateway.a_checkout())) for _ in range(5)]
            # No event is one of "each is turned away or under way".
            while gateway.orders.under_way + sum(task.done() for task in checkouts) < 5:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            page = await client.get("/products/tea-sencha")
            gateway.orders.may_finish.set()
            return await asyncio.gather(*checkouts), page

    answers, page = asyncio.run(run())

    turned_away = [answer for answer in answers if answer.status_code == 503]
    assert len(turned_away) == busy
    assert all(answer.json()["code"] == "gateway_busy" for answer in turned_away)
    assert all(answer.headers["retry-after"] == "1" for answer in turned_away)
    assert page.status_code == 200


def test_a_delivery_is_let_in(gateway: GatewayInProcess) -> None:
    assert gateway.send(httpx.Request("POST", "http://gateway/restock"))[0].json() == {"units": 7}


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/products/flying-carpet", 404, "unknown_product"),
        ("/orders/o-0", 404, "unknown_order"),
        ("/products/NOT%20A%20SLUG", 422, "invalid_request"),
        ("/nowhere", 404, "http_error"),
    ],
)
def test_every_refusal_is_a_problem_that_names_its_request(
    gateway: GatewayInProcess, path: str, status: int, code: str
) -> None:
    answer = gateway.get(path)

    assert answer.status_code == answer.json()["status"] == status
    assert answer.json()["code"] == code
    assert answer.json()["correlation_id"]
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_bug_is_a_problem_that_names_its_request(gateway: GatewayInProcess, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "gateway.db") as connection:
        connection.execute("DROP TABLE views")

    answer = gateway.get("/products/tea-sencha?user=ada")

    assert answer.status_code == 500
    assert answer.json()["correlation_id"]
