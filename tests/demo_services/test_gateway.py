from pathlib import Path

import pytest

from tests.demo_services.shop_in_process import ShopInProcess


@pytest.fixture
def shop(tmp_path: Path) -> ShopInProcess:
    return ShopInProcess(tmp_path)


def test_all_products_are_listed(shop: ShopInProcess) -> None:
    assert len(shop.get("/products").json()) == 20


def test_a_product_page_has_stock_and_related_products(shop: ShopInProcess) -> None:
    page = shop.get("/products/tea-sencha").json()

    assert page["available"] == 80
    assert len(page["related"]) == 3


def test_a_product_page_shows_what_the_user_saw_before(shop: ShopInProcess) -> None:
    for product_id in ("moka-pot", "tea-sencha"):
        shop.get(f"/products/{product_id}?user=ada")
        shop.now_s += 1

    assert shop.get("/products/press-french?user=ada").json()["recently_viewed"] == ["tea-sencha", "moka-pot"]
    assert shop.get("/products/press-french?user=bela").json()["recently_viewed"] == []


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
    shop: ShopInProcess, path: str, status: int, code: str
) -> None:
    answer = shop.get(path)

    assert answer.status_code == answer.json()["status"] == status
    assert answer.json()["code"] == code
    assert answer.json()["correlation_id"]
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_bug_is_a_problem_that_names_its_request(shop: ShopInProcess, tmp_path: Path) -> None:
    shop.rows("gateway", "DROP TABLE views")

    answer = shop.get("/products/tea-sencha?user=ada")

    assert answer.status_code == 500
    assert answer.json()["correlation_id"]
