"""Which instances of a service are alive: each says so in Redis every second, and is forgotten when it does not."""

from contextlib import suppress
from typing import NamedTuple

import redis
import redis.asyncio

from clew_demo.redis_link import Link
from clew_demo.repeating import Repeating

MISSED_BEATS = 3
"""An instance that has not been heard of for so many intervals is taken for dead."""


class Instance(NamedTuple):
    """One process of a service, and where it listens."""

    name: str
    url: str


class Heartbeat:
    """Keeps one instance in the registry for as long as its process is well."""

    def __init__(self, redis_url: str, service: str, instance: str, url: str, interval_s: float = 1.0) -> None:
        self._key = _key(service, instance)
        self._url = url
        self._ttl_ms = int(interval_s * MISSED_BEATS * 1000)
        self._link = Link("registry")
        self._redis = redis.Redis.from_url(redis_url, **self._link.options)
        self._beating = Repeating(self._beat, interval_s=interval_s)

    def start(self) -> None:
        """Be found, from the first beat on. While Redis is away, try again with every beat."""
        self._beating.start()

    def stop(self) -> None:
        """Be found no more, at once. Twice is safe."""
        self._beating.stop()
        if not self._link.is_away:  # else it has been forgotten by now, and the process is not to wait for that
            with suppress(redis.RedisError):
                self._redis.delete(self._key)
        self._redis.close()

    def _beat(self) -> None:
        try:
            self._redis.set(self._key, self._url, px=self._ttl_ms)
        except redis.RedisError as error:
            self._link.failed(error)
        else:
            self._link.worked()


class Registry:
    """Finds the instances of a service. While Redis is away, they are the ones that were known last."""

    def __init__(self, redis_url: str) -> None:
        self._link = Link("registry")
        self._redis = redis.asyncio.Redis.from_url(redis_url, **self._link.options)
        self._known: dict[str, list[Instance]] = {}

    async def instances(self, service: str) -> list[Instance]:
        """All that are alive, by name."""
        try:
            self._known[service] = await self._look_up(service)
        except redis.RedisError as error:
            self._link.failed(error)
        else:
            self._link.worked()
        return self._known.get(service, [])

    async def close(self) -> None:
        """Let go of the connections."""
        await self._redis.aclose()

    async def _look_up(self, service: str) -> list[Instance]:
        prefix = _key(service, "")
        keys = sorted([key async for key in self._redis.scan_iter(match=f"{prefix}*")])
        if not keys:
            return []
        urls = await self._redis.mget(keys)
        # An instance may have expired between the two.
        return [Instance(key.removeprefix(prefix), str(url)) for key, url in zip(keys, urls, strict=True) if url]


def _key(service: str, instance: str) -> str:
    return f"registry:{service}:{instance}"
