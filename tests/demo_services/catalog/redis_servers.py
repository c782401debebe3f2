"""Both kinds of Redis that the shop runs on, with nothing of it in there; fixtures are imported where they are used."""

import pytest
from redis import Redis

from tests.demo_services.messaging.brokers import fakeredis_url

__all__ = ["fakeredis_url", "shop_redis_url"]

DATABASE = 6
"""Of the tests' Redis; others use other ones."""


@pytest.fixture(params=["redis", "fakeredis"])
def shop_redis_url(request: pytest.FixtureRequest) -> str:
    url = str(request.getfixturevalue(f"{request.param}_url"))
    url = f"{url}/{DATABASE}" if request.param == "redis" else url
    with Redis.from_url(url) as redis:
        for pattern in ("catalog:*", "registry:*"):
            for key in redis.scan_iter(match=pattern):
                redis.delete(key)
    return url
