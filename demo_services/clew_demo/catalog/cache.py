"""Cache-aside in Redis: look there first, load what is missing, and let one of many do the loading."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from random import Random

import redis
import redis.asyncio
from opentelemetry import trace

from clew_demo.faults.switchboard import Switchboard
from clew_demo.redis_link import TIMEOUT_S, Link

TTL_S = 30.0
JITTER = 0.1
"""Entries live by up to this part longer or shorter: what was loaded together does not expire together."""

LOCK_TTL_S = 2.0
"""A loader that dies is in the way of the others for so long at most."""

WAIT_S = 1.0
LOOK_EVERY_S = 0.02
MAX_CONNECTIONS = 2
"""A command takes well under a millisecond: requests wait for a connection, and not for long. More would be opened at
once when there is a rush, and fakeredis lets no more than five connections wait to be accepted."""

# Only who holds the lock may release it: it may have expired, and be someone else's by now. EVAL, as the server of
# fakeredis hangs up on the EVALSHA that redis-py's own locks use.
RELEASE = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"

Load = Callable[[], Awaitable[str]]

tracer = trace.get_tracer(__name__)


class Cache:
    """Texts by key. While Redis is away everybody loads for himself, and all goes on."""

    def __init__(
        self, redis_url: str, *, faults: Switchboard, ttl_s: float = TTL_S, random: Random | None = None
    ) -> None:
        self._link = Link("cache")
        pool = redis.asyncio.BlockingConnectionPool.from_url(
            redis_url, max_connections=MAX_CONNECTIONS, timeout=TIMEOUT_S, **self._link.options
        )
        self._redis = redis.asyncio.Redis.from_pool(pool)
        self._faults = faults
        self._ttl_s = ttl_s
        self._random = random or Random()

    async def get_or_load(self, key: str, load: Load) -> str:
        """What is cached, or else what `load` returns, cached for the next ones. Raises what `load` raises."""
        text = token = None
        with self._surviving_outage():
            text, token = await self._look_up(key)
        if text is not None:
            return text
        if token is None:
            return await load()
        return await self._load_in_turn(key, token, load)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._redis.aclose()

    async def _look_up(self, key: str) -> tuple[str | None, str | None]:
        """A text; or none, and the lock's token for whoever is to load it. No token: load it, and keep it for you."""
        with _span("GET cache", key) as span:
            text = await self._get(key)
            span.set_attribute("cache.hit", text is not None)
        if text is not None or self._faults.is_on("cache-stampede"):
            return text, None
        token = uuid.uuid4().hex
        if await self._lock(key, token):
            return None, token
        with tracer.start_as_current_span("wait for cache", attributes={"cache.key": key}):
            return await self._wait(key, token)

    async def _wait(self, key: str, token: str) -> tuple[str | None, str | None]:
        """As `_look_up`, once whoever loads now is done; that one may fail, and then it is our turn."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + WAIT_S
        while loop.time() < until_s:
            await asyncio.sleep(LOOK_EVERY_S)
            text = await self._get(key)
            if text is not None:
                return text, None
            if await self._lock(key, token):
                return None, token
        return None, None

    async def _load_in_turn(self, key: str, token: str, load: Load) -> str:
        text = None
        try:
            with self._surviving_outage():
                # Once more: between our look and our lock, another one may have loaded it.
                text = await self._get(key)
            if text is None:
                text = await load()
                with self._surviving_outage():
                    await self._keep(key, text)
            return text
        finally:
            with self._surviving_outage():
                await self._redis.eval(RELEASE, 1, _lock_of(key), token)

    async def _get(self, key: str) -> str | None:
        text = await self._redis.get(key)
        # The fault: whatever is there has expired at once.
        return None if text is None or self._faults.is_on("cache-stampede") else str(text)

    async def _lock(self, key: str, token: str) -> bool:
        return bool(await self._redis.set(_lock_of(key), token, nx=True, px=int(LOCK_TTL_S * 1000)))

    async def _keep(self, key: str, text: str) -> None:
        ttl_ms = int(self._ttl_s * 1000 * self._random.uniform(1 - JITTER, 1 + JITTER))
        with _span("SET cache", key, {"cache.ttl_ms": ttl_ms}):
            await self._redis.set(key, text, px=ttl_ms)

    @contextmanager
    def _surviving_outage(self) -> Iterator[None]:
        try:
            yield
        except redis.RedisError as error:
            self._link.failed(error)
        else:
            self._link.worked()


def _lock_of(key: str) -> str:
    return f"{key}:lock"


@contextmanager
def _span(name: str, key: str, attributes: Mapping[str, int] | None = None) -> Iterator[trace.Span]:
    described = {"db.system.name": "redis", "db.operation.name": name.split()[0], "cache.key": key}
    with tracer.start_as_current_span(
        name, kind=trace.SpanKind.CLIENT, attributes={**described, **(attributes or {})}
    ) as span:
        yield span
