import asyncio
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from threading import Barrier, BrokenBarrierError

import pytest
import redis

from clew_demo.faults.switchboard import Switchboard
from clew_demo.inventory.client import InventoryClient
from clew_demo.inventory.database import Inventory
from clew_demo.inventory.models import Item, Line
from clew_demo.problems import Problem
from tests.demo_services.inventory.serving import LIMITED, NO_REDIS, an_item, serving

LOCK = f"clew-demo:lock:{LIMITED}"


@pytest.fixture
def locks(redis_url: str) -> "redis.Redis":
    """The Redis that holds the locks, with none held."""
    connection = redis.Redis.from_url(redis_url)
    connection.delete(LOCK)
    return connection


class MeetingPlace(Inventory):
    """An inventory whose buyers look out for another one who is in there at the same time."""

    def __init__(self, folder: Path, barrier: Barrier) -> None:
        super().__init__(folder / "inventory.db", faults=Switchboard(folder))
        self._barrier = barrier
        self.has_met = False

    def reserve(self, order_id: str, items: Iterable[Item]) -> list[Line]:
        with suppress(BrokenBarrierError):
            self._barrier.wait(0.4)
            self.has_met = True
        self._barrier.reset()
        return super().reserve(order_id, items)


async def _buy_in_two_instances(folder: Path, redis_url: str, product_id: str) -> bool:
    """Whether two buyers, each in an instance of his own, met in the database."""
    barrier = Barrier(2)
    one, other = MeetingPlace(folder, barrier), MeetingPlace(folder, barrier)
    async with (
        serving(folder, redis_url=redis_url, inventory=one) as first,
        serving(folder, redis_url=redis_url, inventory=other) as second,
    ):
        await asyncio.gather(first.reserve("o-1", [an_item(product_id)]), second.reserve("o-2", [an_item(product_id)]))
    return one.has_met or other.has_met


def test_a_limited_product_is_sold_to_one_buyer_at_a_time(tmp_path: Path, redis_url: str, locks: object) -> None:
    assert not asyncio.run(_buy_in_two_instances(tmp_path, redis_url, LIMITED))


def test_without_the_lock_two_buyers_are_served_at_once(tmp_path: Path) -> None:
    assert asyncio.run(_buy_in_two_instances(tmp_path, NO_REDIS, LIMITED))


def test_nobody_waits_for_a_product_that_is_not_limited(tmp_path: Path, redis_url: str, locks: object) -> None:
    assert asyncio.run(_buy_in_two_instances(tmp_path, redis_url, "tea-sencha"))


@pytest.mark.parametrize("has_redis", [True, False])
def test_the_last_units_are_sold_once_with_redis_and_without(
    has_redis: bool, tmp_path: Path, redis_url: str, locks: object
) -> None:
    async def buy() -> list[object]:
        url = redis_url if has_redis else NO_REDIS
        async with serving(tmp_path, redis_url=url) as first, serving(tmp_path, redis_url=url) as second:
            buyers = [
                client.reserve(f"o-{number}", [an_item(LIMITED)])
                for number, client in enumerate([first, second, first, second])
            ]
            answers = await asyncio.gather(*buyers, return_exceptions=True)
            assert await first.stock(LIMITED) == 0
        return [answer.code if isinstance(answer, Problem) else "reserved" for answer in answers]

    assert sorted(map(str, asyncio.run(buy()))) == ["out_of_stock", "out_of_stock", "reserved", "reserved"]


def test_a_buyer_who_waited_too_long_gives_up(tmp_path: Path, redis_url: str, locks: "redis.Redis") -> None:
    async def buy(client: InventoryClient) -> str:
        try:
            await client.reserve("o-1", [an_item(LIMITED)])
        except Problem as problem:
            return problem.code
        return "reserved"

    async def run() -> list[str]:
        async with serving(tmp_path, redis_url=redis_url, wait_s=0.2) as client:
            locks.set(LOCK, "somebody else", px=60_000)
            busy = await buy(client)
            locks.delete(LOCK)
            return [busy, await buy(client)]

    assert asyncio.run(run()) == ["product_busy", "reserved"]


def test_the_lock_of_a_holder_that_died_runs_out(tmp_path: Path, redis_url: str, locks: "redis.Redis") -> None:
    async def run() -> int:
        async with serving(tmp_path, redis_url=redis_url, wait_s=5) as client:
            locks.set(LOCK, "somebody who died", px=300)
            await client.reserve("o-1", [an_item(LIMITED)])
            return await client.stock(LIMITED)

    assert asyncio.run(run()) == 1


def test_a_lock_is_released_even_if_the_buyer_gets_nothing(
    tmp_path: Path, redis_url: str, locks: "redis.Redis"
) -> None:
    async def run() -> None:
        async with serving(tmp_path, redis_url=redis_url) as client:
            with pytest.raises(Problem):
                await client.reserve("o-1", [an_item(LIMITED, 3)])

    asyncio.run(run())

    assert not locks.exists(LOCK)
