from pathlib import Path

import pytest
from structlog.testing import capture_logs

from clew_demo.assortment import ARTICLES
from clew_demo.pricing.discounts import discount_percent
from tests.demo_services.catalog.shop import CatalogInProcess

PAGE = "/products/moka-pot"
MOKA_POT, SENCHA = (next(article for article in ARTICLES if article.id == id) for id in ("moka-pot", "tea-sencha"))
TEA_TIME, NO_TEA_TIME = 16, 12


@pytest.fixture
def catalog(tmp_path: Path, shop_redis_url: str) -> CatalogInProcess:
    return CatalogInProcess(tmp_path, redis_url=shop_redis_url)


def test_the_list_has_every_product(tmp_path: Path) -> None:
    [response] = CatalogInProcess(tmp_path).get("/products")

    assert sorted(product["id"] for product in response.json()) == sorted(article.id for article in ARTICLES)
    assert set(response.json()[0]) == {"id", "name", "category", "price_cents"}


def test_the_list_is_the_same_with_one_query_a_product(tmp_path: Path) -> None:
    catalog = CatalogInProcess(tmp_path)
    [in_one] = catalog.get("/products")

    catalog.faults.plant("n-plus-one")
    catalog = CatalogInProcess(tmp_path)

    assert catalog.get("/products")[0].json() == in_one.json()


@pytest.mark.parametrize("hour", [TEA_TIME, NO_TEA_TIME])
def test_a_page_shows_the_price_of_the_hour(tmp_path: Path, hour: int) -> None:
    percent = discount_percent("tea", hour)

    [response] = CatalogInProcess(tmp_path, hour=hour).get("/products/tea-sencha")

    assert (percent > 0) == (hour == TEA_TIME)
    assert response.json() == {
        "id": "tea-sencha",
        "name": SENCHA.name,
        "category": "tea",
        "price_cents": SENCHA.price_cents * (100 - percent) // 100,
    }


def test_without_pricing_a_page_shows_the_list_price(tmp_path: Path) -> None:
    [response] = CatalogInProcess(tmp_path, has_pricing=False).get(PAGE)

    assert response.json()["price_cents"] == MOKA_POT.price_cents


# The fault switches the cache off: then every page is loaded.
@pytest.mark.parametrize(("is_cached", "loads"), [(True, 1), (False, 3)])
def test_a_page_is_loaded_once_and_then_cached(catalog: CatalogInProcess, is_cached: bool, loads: int) -> None:
    if not is_cached:
        catalog.faults.plant("cache-stampede")

    with capture_logs() as logs:
        pages = [response.json() for response in catalog.get(PAGE, PAGE, PAGE)]

    assert pages[0] == pages[1] == pages[2]
    assert [log["event"] for log in logs].count("product page loaded") == loads


def test_related_products_are_of_the_same_category(tmp_path: Path) -> None:
    [response] = CatalogInProcess(tmp_path).get(f"{PAGE}/related")

    assert {product["category"] for product in response.json()} == {"brewing"}
    assert "moka-pot" not in {product["id"] for product in response.json()}


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/products/no-such", 404, "unknown_product"),
        ("/products/no.such", 422, "invalid_request"),
        ("/elsewhere", 404, "http_error"),
    ],
)
def test_what_cannot_be_answered_is_a_problem(tmp_path: Path, path: str, status: int, code: str) -> None:
    [response] = CatalogInProcess(tmp_path).get(path)

    assert (response.status_code, response.headers["Content-Type"]) == (status, "application/problem+json")
    body = response.json()
    assert (body["status"], body["code"]) == (status, code)
    assert set(body) == {"status", "code", "detail", "correlation_id"}


@pytest.mark.parametrize("path", [PAGE, "/products", "/products/no-such", "/elsewhere"])
def test_every_answer_says_which_instance_gave_it(tmp_path: Path, path: str) -> None:
    [response] = CatalogInProcess(tmp_path, instance="catalog-2").get(path)

    assert (response.headers["X-Instance"], response.headers["X-Version"]) == ("catalog-2", "2.0.0")


@pytest.mark.parametrize(
    ("instance", "version", "statuses"),
    [("catalog-2", "2.1.0", [200, 200, 500] * 2), ("catalog", "2.0.0", [200] * 6)],
)
def test_a_bad_deploy_fails_a_third_of_the_pages_of_one_instance(
    tmp_path: Path, instance: str, version: str, statuses: list[int]
) -> None:
    catalog = CatalogInProcess(tmp_path, instance=instance)
    catalog.faults.plant("bad-deploy")

    answers = catalog.get(*[PAGE] * 6)

    assert [answer.status_code for answer in answers] == statuses
    assert {answer.headers["X-Version"] for answer in answers} == {version}
    assert catalog.get("/products")[0].is_success


def test_in_a_retry_storm_each_second_page_is_refused(tmp_path: Path) -> None:
    catalog = CatalogInProcess(tmp_path)
    catalog.faults.plant("retry-storm")

    answers = catalog.get(*[PAGE] * 4)

    assert [answer.status_code for answer in answers] == [200, 503] * 2
    assert answers[1].json()["code"] == "catalog_overloaded"
