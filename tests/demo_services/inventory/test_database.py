import itertools
import time
from pathlib import Path

import pytest

from clew_demo.assortment import ARTICLES
from clew_demo.faults.switchboard import Switchboard
from clew_demo.inventory.database import (
    Inventory,
    OutOfStock,
    ReservationCancelled,
    TooBigToWrap,
    UnknownProduct,
)
from clew_demo.inventory.models import Item
from clew_demo.traffic.visits import visits


@pytest.fixture
def inventory(tmp_path: Path) -> Inventory:
    return Inventory(tmp_path / "inventory.db", faults=Switchboard(tmp_path))


def an_item(product_id: str = "tea-sencha", quantity: int = 1) -> Item:
    return Item(product_id=product_id, quantity=quantity)


def test_a_reservation_takes_all_or_nothing(inventory: Inventory) -> None:
    with pytest.raises(OutOfStock, match="machine-lever"):
        inventory.reserve("o-1", [an_item(quantity=2), an_item("machine-lever", 3)])

    assert inventory.available("tea-sencha") == 80


def test_reserving_again_changes_nothing(inventory: Inventory) -> None:
    items = [an_item(quantity=2), an_item("moka-pot"), an_item("beans-decaf", 3)]
    first = inventory.reserve("o-1", items)

    assert inventory.reserve("o-1", items) == first
    assert inventory.available("tea-sencha") == 78


def test_releasing_twice_returns_the_units_once(inventory: Inventory) -> None:
    inventory.reserve("o-1", [an_item(quantity=2)])

    assert [inventory.release("o-1"), inventory.release("o-1")] == [2, 0]
    assert inventory.available("tea-sencha") == 80


def test_a_reservation_that_comes_after_its_release_is_refused(inventory: Inventory) -> None:
    inventory.release("o-1")

    with pytest.raises(ReservationCancelled):
        inventory.reserve("o-1", [an_item()])
    assert inventory.available("tea-sencha") == 80


def test_a_failed_reservation_can_be_tried_again(inventory: Inventory) -> None:
    with pytest.raises(OutOfStock):
        inventory.reserve("o-1", [an_item("machine-lever", 3)])

    assert inventory.reserve("o-1", [an_item("machine-lever", 2)])


def test_a_delivery_fills_the_shelves(inventory: Inventory) -> None:
    inventory.reserve("o-1", [an_item(quantity=30), an_item("machine-lever", 2)])

    assert inventory.restock() == 32
    assert inventory.available("tea-sencha") == 80


def test_stock_survives_a_restart(inventory: Inventory, tmp_path: Path) -> None:
    inventory.reserve("o-1", [an_item(quantity=30)])
    inventory.close()

    again = Inventory(tmp_path / "inventory.db", faults=Switchboard(tmp_path))
    assert again.available("tea-sencha") == 50


def test_a_basket_too_big_for_three_boxes_is_refused(inventory: Inventory) -> None:
    with pytest.raises(TooBigToWrap):
        inventory.fit_boxes([an_item("machine-lever", 4)])


def test_wrapping_an_unknown_product_is_refused(inventory: Inventory) -> None:
    with pytest.raises(UnknownProduct, match="flying-carpet"):
        inventory.fit_boxes([an_item("flying-carpet")])


def test_three_boxes_take_far_longer_to_find_than_one(inventory: Inventory) -> None:
    inventory.fit_boxes([an_item()])

    start_s = time.perf_counter()
    one = inventory.fit_boxes([an_item()])
    between_s = time.perf_counter()
    three = inventory.fit_boxes([an_item("machine-lever", 2)])
    end_s = time.perf_counter()

    assert (len(one.boxes), len(three.boxes)) == (1, 3)
    assert end_s - between_s > 30 * (between_s - start_s)


def test_every_gift_of_the_traffic_needs_three_boxes_and_fits_into_them() -> None:
    volumes = {article.id: article.volume_cm3 for article in ARTICLES}
    baskets = [
        action.body["items"]
        for visit in itertools.islice(visits(7, rate_per_s=1), 4000)
        for action in visit.actions
        if action.kind == "gift-wrapped checkout" and action.body
    ]

    sizes = [sum(volumes[item["product_id"]] * item["quantity"] for item in basket) for basket in baskets]

    assert len(sizes) > 50
    assert min(sizes) > 59_000
    assert max(sizes) <= 3 * 59_000
