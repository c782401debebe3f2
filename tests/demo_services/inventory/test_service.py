import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from clew_demo.inventory.client import InventoryClient
from clew_demo.problems import Problem
from tests.demo_services.inventory.serving import LIMITED, an_item, serving
from tests.servers.processes import free_port

Asking = Callable[[InventoryClient], Awaitable[Any]]


def asked(folder: Path, ask: Asking) -> Any:
    """What a server and its client answer over gRPC."""

    async def run() -> Any:
        async with serving(folder) as client:
            return await ask(client)

    return asyncio.run(run())


def test_a_reservation_is_answered_with_its_lines_and_their_sum(tmp_path: Path) -> None:
    reservation = asked(tmp_path, lambda client: client.reserve("o-1", [an_item(quantity=2), an_item("moka-pot")]))

    assert [(line.product_id, line.quantity) for line in reservation.lines] == [("moka-pot", 1), ("tea-sencha", 2)]
    assert reservation.total_cents == 3450 + 2 * 1290


def test_what_is_released_and_delivered_is_on_the_shelf_again(tmp_path: Path) -> None:
    async def ask(client: InventoryClient) -> list[int]:
        await client.reserve("o-1", [an_item(quantity=2)])
        await client.reserve("o-2", [an_item(quantity=3)])
        return [await client.release("o-1"), await client.stock("tea-sencha"), await client.restock()]

    assert asked(tmp_path, ask) == [2, 77, 3]


def test_a_basket_is_packed(tmp_path: Path) -> None:
    packing = asked(tmp_path, lambda client: client.fit_boxes([an_item()]))

    assert len(packing.boxes) == 1
    assert packing.price_cents > 0


def test_the_health_check_answers(tmp_path: Path) -> None:
    assert asked(tmp_path, InventoryClient.check) == "ok"


async def _cancelled(client: InventoryClient) -> None:
    await client.release("o-1")
    await client.reserve("o-1", [an_item()])


REFUSED: dict[str, tuple[int, Asking]] = {
    "unknown_product": (404, lambda client: client.reserve("o-1", [an_item("flying-carpet")])),
    "out_of_stock": (409, lambda client: client.reserve("o-1", [an_item(LIMITED, 3)])),
    "order_cancelled": (409, _cancelled),
    "too_big_to_wrap": (422, lambda client: client.fit_boxes([an_item(LIMITED, 4)])),
    "invalid_request": (422, lambda client: client.reserve("o-1", [])),
}


@pytest.mark.parametrize("code", REFUSED)
def test_a_refusal_keeps_its_name_on_the_way_to_the_caller(code: str, tmp_path: Path) -> None:
    status, ask = REFUSED[code]

    with pytest.raises(Problem) as refused:
        asked(tmp_path, ask)

    assert (refused.value.code, refused.value.status) == (code, status)


def test_a_quantity_out_of_bounds_is_refused_before_it_is_looked_for(tmp_path: Path) -> None:
    wanted = SimpleNamespace(product_id="tea-sencha", quantity=101)

    with pytest.raises(Problem, match="quantity") as refused:
        asked(tmp_path, lambda client: client.reserve("o-1", [wanted]))

    assert refused.value.code == "invalid_request"


def test_a_server_that_is_away_is_a_problem_of_its_own() -> None:
    async def ask() -> None:
        client = InventoryClient(f"http://127.0.0.1:{free_port()}", timeout_s=5)
        try:
            await client.stock("tea-sencha")
        finally:
            await client.close()

    with pytest.raises(Problem) as away:
        asyncio.run(ask())

    assert (away.value.status, away.value.code) == (503, "inventory_unavailable")


def test_a_server_that_takes_too_long_is_a_problem_of_its_own(tmp_path: Path) -> None:
    async def ask(client: InventoryClient) -> None:
        client._timeout_s = 0.05
        await client.fit_boxes([an_item(LIMITED, 2)])

    with pytest.raises(Problem) as late:
        asked(tmp_path, ask)

    assert (late.value.status, late.value.code) == (504, "inventory_timeout")
