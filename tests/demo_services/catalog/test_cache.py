import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random

import pytest
from redis import Redis
from structlog.testing import capture_logs

from clew_demo.catalog.cache import LOCK_TTL_S, TTL_S, WAIT_S, Cache
from clew_demo.faults.switchboard import Switchboard
from tests.demo_services.messaging.brokers import own_redis
from tests.servers.processes import free_port

KEY = "catalog:test:moka-pot"
REQUESTS = 30


class Shelf:
    """Counts how often something is loaded from it, which takes a moment; the first `failures` loads fail."""

    def __init__(self, *, failures: int = 0) -> None:
        self.loads = 0
        self._failures = failures

    async def load(self) -> str:
        self.loads += 1
        await asyncio.sleep(0.02)
        if self.loads <= self._failures:
            raise ValueError("fell down")
        return "a moka pot"


@pytest.fixture
def faults(tmp_path: Path) -> Switchboard:
    return Switchboard(tmp_path)


def using(cache: Cache, work: Callable[[Cache], Awaitable[None]]) -> None:
    async def run() -> None:
        try:
            await work(cache)
        finally:
            await cache.close()

    asyncio.run(run())


async def together(cache: Cache, shelf: Shelf) -> list[str | BaseException]:
    return await asyncio.gather(*(cache.get_or_load(KEY, shelf.load) for _ in range(REQUESTS)), return_exceptions=True)


# The fault switches caching off: without the pattern, the tests' own claims are false.
@pytest.mark.parametrize(("is_cached", "loads"), [(True, 1), (False, 3)])
def test_only_the_first_of_three_requests_loads(
    shop_redis_url: str, faults: Switchboard, is_cached: bool, loads: int
) -> None:
    shelf = Shelf()

    async def thrice(cache: Cache) -> None:
        for _ in range(3):
            assert await cache.get_or_load(KEY, shelf.load) == "a moka pot"

    if not is_cached:
        faults.plant("cache-stampede")
    using(Cache(shop_redis_url, faults=faults), thrice)

    assert shelf.loads == loads


@pytest.mark.parametrize(("is_single_flight", "loads"), [(True, 1), (False, REQUESTS)])
def test_of_many_requests_at_the_same_time_one_loads(
    shop_redis_url: str, faults: Switchboard, is_single_flight: bool, loads: int
) -> None:
    shelf = Shelf()

    async def all_at_once(cache: Cache) -> None:
        assert await together(cache, shelf) == ["a moka pot"] * REQUESTS

    if not is_single_flight:
        faults.plant("cache-stampede")
    using(Cache(shop_redis_url, faults=faults), all_at_once)

    assert shelf.loads == loads


def test_what_is_cached_has_expired_as_soon_as_the_fault_is_planted(
    shop_redis_url: str, faults: Switchboard, tmp_path: Path
) -> None:
    shelf = Shelf()

    async def once(cache: Cache) -> None:
        await cache.get_or_load(KEY, shelf.load)

    using(Cache(shop_redis_url, faults=faults), once)
    faults.plant("cache-stampede")
    using(Cache(shop_redis_url, faults=Switchboard(tmp_path)), once)

    assert shelf.loads == 2


def test_instances_share_what_they_load_and_who_loads(shop_redis_url: str, faults: Switchboard) -> None:
    shelf = Shelf()
    other = Cache(shop_redis_url, faults=faults)

    async def both(cache: Cache) -> None:
        await asyncio.gather(together(cache, shelf), together(other, shelf))
        await other.close()

    using(Cache(shop_redis_url, faults=faults), both)

    assert shelf.loads == 1


def test_an_entry_expires(shop_redis_url: str, faults: Switchboard) -> None:
    shelf = Shelf()

    async def until_it_is_loaded_again(cache: Cache) -> None:
        async with asyncio.timeout(5):
            while shelf.loads < 2:
                await cache.get_or_load(KEY, shelf.load)

    using(Cache(shop_redis_url, faults=faults, ttl_s=0.1), until_it_is_loaded_again)


def test_entries_that_are_made_together_do_not_expire_together(shop_redis_url: str, faults: Switchboard) -> None:
    async def fill(cache: Cache) -> None:
        await asyncio.gather(*(cache.get_or_load(f"{KEY}:{number}", Shelf().load) for number in range(20)))

    using(Cache(shop_redis_url, faults=faults, random=Random(7)), fill)

    with Redis.from_url(shop_redis_url) as redis:
        ttls_s = [redis.pttl(f"{KEY}:{number}") / 1000 for number in range(20)]
    assert 0.85 * TTL_S < min(ttls_s) < 0.95 * TTL_S
    assert 1.05 * TTL_S < max(ttls_s) <= 1.1 * TTL_S


def test_when_who_loads_fails_the_next_one_has_its_turn(shop_redis_url: str, faults: Switchboard) -> None:
    shelf = Shelf(failures=1)

    async def all_at_once(cache: Cache) -> None:
        async with asyncio.timeout(WAIT_S / 2):
            answers = await together(cache, shelf)
        assert sum(isinstance(answer, ValueError) for answer in answers) == 1

    using(Cache(shop_redis_url, faults=faults), all_at_once)

    assert shelf.loads == 2


def test_one_that_died_while_it_loaded_keeps_nobody_for_long(shop_redis_url: str, faults: Switchboard) -> None:
    with Redis.from_url(shop_redis_url) as redis:
        redis.set(f"{KEY}:lock", "of a dead one", px=int(LOCK_TTL_S * 1000))

    async def in_time(cache: Cache) -> None:
        async with asyncio.timeout(WAIT_S + 1):
            assert await cache.get_or_load(KEY, Shelf().load) == "a moka pot"

    using(Cache(shop_redis_url, faults=faults), in_time)


def test_a_lock_that_has_passed_to_another_is_not_released(shop_redis_url: str, faults: Switchboard) -> None:
    with Redis.from_url(shop_redis_url) as redis:

        async def load() -> str:
            redis.set(f"{KEY}:lock", "of another one")
            return "late"

        async def once(cache: Cache) -> None:
            await cache.get_or_load(KEY, load)

        using(Cache(shop_redis_url, faults=faults), once)

        assert redis.get(f"{KEY}:lock") == b"of another one"


def test_while_redis_is_away_everybody_loads_and_it_is_logged_once(faults: Switchboard, tmp_path: Path) -> None:
    port, shelf = free_port(), Shelf()

    async def away_and_back(cache: Cache) -> None:
        assert await together(cache, shelf) == ["a moka pot"] * REQUESTS
        assert shelf.loads == REQUESTS
        with own_redis(port, folder=tmp_path):
            await together(cache, shelf)
            assert shelf.loads == REQUESTS + 1
        assert await cache.get_or_load(KEY, shelf.load) == "a moka pot"

    with capture_logs() as logs:
        using(Cache(f"redis://127.0.0.1:{port}/0", faults=faults), away_and_back)

    away, back = "redis cannot be reached", "redis is back"
    assert [log["event"] for log in logs] == [away, back, away]
