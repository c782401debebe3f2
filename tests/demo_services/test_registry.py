import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from clew_demo.registry import MISSED_BEATS, Heartbeat, Instance, Registry
from tests.demo_services.catalog.redis_servers import fakeredis_url, shop_redis_url
from tests.demo_services.messaging.brokers import own_redis
from tests.servers.processes import free_port
from tests.waiting import wait_until

__all__ = ["fakeredis_url", "shop_redis_url"]

INTERVAL_S = 0.1
FIRST = Instance("catalog", "http://127.0.0.1:1")
SECOND = Instance("catalog-2", "http://127.0.0.1:2")
BEATING = """
import sys, time
from clew_demo.registry import Heartbeat
Heartbeat(sys.argv[1], "catalog", "catalog-2", "http://127.0.0.1:2", interval_s=0.1).start()
time.sleep(60)
"""


def alive(redis_url: str) -> list[Instance]:
    async def look() -> list[Instance]:
        registry = Registry(redis_url)
        try:
            return await registry.instances("catalog")
        finally:
            await registry.close()

    return asyncio.run(look())


@contextmanager
def beating(redis_url: str, instance: Instance) -> Iterator[Heartbeat]:
    heartbeat = Heartbeat(redis_url, "catalog", *instance, interval_s=INTERVAL_S)
    heartbeat.start()
    try:
        yield heartbeat
    finally:
        heartbeat.stop()


def test_instances_are_found_by_their_service_in_order_of_name(shop_redis_url: str) -> None:
    with beating(shop_redis_url, SECOND), beating(shop_redis_url, FIRST):
        wait_until(lambda: len(alive(shop_redis_url)) == 2)

        assert alive(shop_redis_url) == [FIRST, SECOND]


def test_one_that_stops_is_gone_at_once(shop_redis_url: str) -> None:
    with beating(shop_redis_url, FIRST), beating(shop_redis_url, SECOND) as second:
        wait_until(lambda: len(alive(shop_redis_url)) == 2)

        second.stop()

        assert alive(shop_redis_url) == [FIRST]


def test_one_that_is_killed_is_forgotten_and_one_that_beats_is_not(shop_redis_url: str) -> None:
    # The first would go, too, if it beat only once; the second would stay if what it wrote did not expire.
    with beating(shop_redis_url, FIRST), subprocess.Popen([sys.executable, "-c", BEATING, shop_redis_url]) as process:
        wait_until(lambda: len(alive(shop_redis_url)) == 2)
        process.kill()

        wait_until(lambda: SECOND not in alive(shop_redis_url), timeout_s=INTERVAL_S * MISSED_BEATS + 5)

        assert alive(shop_redis_url) == [FIRST]


def test_an_instance_that_starts_before_redis_is_found_when_that_is_there(tmp_path: Path) -> None:
    port = free_port()
    with capture_logs() as logs, beating(f"redis://127.0.0.1:{port}/0", FIRST), own_redis(port, folder=tmp_path) as url:
        wait_until(lambda: alive(url) == [FIRST])

        wait_until(lambda: len(logs) == 2)
    assert [log["event"] for log in logs[:2]] == ["redis cannot be reached", "redis is back"]


def test_while_redis_is_away_the_instances_are_those_that_were_known_last(tmp_path: Path) -> None:
    until_away = ExitStack()
    url = until_away.enter_context(own_redis(free_port(), folder=tmp_path))
    until_away.enter_context(beating(url, FIRST))
    wait_until(lambda: alive(url) == [FIRST])

    async def before_and_after() -> list[list[Instance]]:
        registry = Registry(url)
        before = await registry.instances("catalog")
        until_away.close()
        return [before, await registry.instances("catalog"), await Registry(url).instances("catalog")]

    assert asyncio.run(before_and_after()) == [[FIRST], [FIRST], []]


@pytest.mark.parametrize("service", ["orders", "cata"])
def test_other_services_have_other_instances(shop_redis_url: str, service: str) -> None:
    async def instances() -> list[Instance]:
        return await Registry(shop_redis_url).instances(service)

    with beating(shop_redis_url, FIRST):
        wait_until(lambda: alive(shop_redis_url) == [FIRST])

        assert asyncio.run(instances()) == []
