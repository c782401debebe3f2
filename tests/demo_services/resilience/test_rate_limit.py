import asyncio
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from clew_demo.resilience.rate_limit import TRY_REDIS_EVERY_S, RateLimit
from tests.servers import redis
from tests.servers.processes import free_port, running


@pytest.fixture
def own_redis_url(tmp_path: Path) -> Iterator[str]:
    """The Redis that the shop starts where there is no other one."""
    port = free_port()
    argv = [sys.executable, "-m", "clew_demo.servers.own_redis", "--port", str(port)]

    def is_ready() -> bool:
        try:
            return redis.ask(port, "PING").startswith(b"+PONG")
        except OSError:
            return False

    with running(argv, name="own_redis", is_ready=is_ready, folder=tmp_path):
        yield f"redis://127.0.0.1:{port}/0"


@pytest.fixture
def client() -> str:
    return f"client-{uuid.uuid4().hex}"


@pytest.fixture
def no_redis_url() -> str:
    return f"redis://127.0.0.1:{free_port()}/0"


async def passed(rate_limit: RateLimit, client: str, *, times: int) -> int:
    return [await rate_limit.hit(client) for _ in range(times)].count(None)


@pytest.mark.parametrize(("limit", "expected"), [("3/10 seconds", 3), ("1000/10 seconds", 8)], ids=["low", "high"])
def test_a_client_may_ask_so_often_in_a_window(redis_url: str, client: str, limit: str, expected: int) -> None:
    assert asyncio.run(passed(RateLimit(limit, redis_url=redis_url), client, times=8)) == expected


def test_who_is_refused_is_told_how_long_to_wait(redis_url: str, client: str) -> None:
    async def run() -> None:
        rate_limit = RateLimit("1/10 seconds", redis_url=redis_url)
        await rate_limit.hit(client)

        wait_s = await rate_limit.hit(client)

        assert wait_s is not None
        assert 8 < wait_s <= 10

    asyncio.run(run())


def test_each_client_has_a_limit_of_its_own(redis_url: str, client: str) -> None:
    async def run() -> None:
        rate_limit = RateLimit("1/10 seconds", redis_url=redis_url)

        assert await passed(rate_limit, client, times=3) == 1
        assert await passed(rate_limit, f"{client}-2", times=3) == 1

    asyncio.run(run())


def test_two_gateways_count_together(redis_url: str, client: str) -> None:
    async def run() -> None:
        one, two = (RateLimit("3/10 seconds", redis_url=redis_url) for _ in range(2))

        assert await passed(one, client, times=2) + await passed(two, client, times=8) == 3

    asyncio.run(run())


def test_the_shops_own_redis_will_do(own_redis_url: str, client: str) -> None:
    async def run() -> None:
        one, two = (RateLimit("3/10 seconds", redis_url=own_redis_url) for _ in range(2))

        with structlog.testing.capture_logs() as logs:
            assert await passed(one, client, times=2) + await passed(two, client, times=8) == 3

        assert logs == [], "no word of a Redis that cannot be reached"

    asyncio.run(run())


def test_without_redis_the_limit_is_kept_in_memory_and_that_is_logged_once(no_redis_url: str, client: str) -> None:
    async def run() -> None:
        clock = iter(range(0, 10**6, TRY_REDIS_EVERY_S + 1))
        rate_limit = RateLimit("3/10 seconds", redis_url=no_redis_url, monotonic_s=lambda: next(clock))

        with structlog.testing.capture_logs() as logs:
            assert await passed(rate_limit, client, times=8) == 3

        assert [(line["event"], line["used_for"]) for line in logs] == [("redis cannot be reached", "rate limits")]

    asyncio.run(run())
