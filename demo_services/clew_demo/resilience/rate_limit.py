"""How often one client may ask: counted in Redis for all gateways together, and here while Redis is away."""

import time
from collections.abc import Callable

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from clew_demo.redis_link import Link

TRY_REDIS_EVERY_S = 2
"""While it is away: else each request would wait for it."""


class RateLimit:
    """A limit like `1500/10 seconds` for each client, in a window that moves."""

    def __init__(self, limit: str, *, redis_url: str, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._limit: RateLimitItem = parse(limit)
        self._link = Link("rate limits")
        # Of the asyncio kind: the other one never tries again here, and a connection may be dead when it is used.
        options = {**self._link.options, "retry": Retry(NoBackoff(), 1)}
        self._shared = MovingWindowRateLimiter(RedisStorage(f"async+{redis_url}", implementation="redispy", **options))
        self._own = MovingWindowRateLimiter(MemoryStorage())
        self._monotonic_s = monotonic_s
        self._try_redis_s = 0.0

    async def hit(self, client: str) -> float | None:
        """Count a request. `None` if it may go on, else the seconds after which the next one may."""
        if self._monotonic_s() < self._try_redis_s:
            return await self._hit(self._own, client)
        try:
            wait_s = await self._hit(self._shared, client)
        except (RedisError, OSError) as error:
            self._try_redis_s = self._monotonic_s() + TRY_REDIS_EVERY_S
            self._link.failed(error)
            return await self._hit(self._own, client)
        self._link.worked()
        return wait_s

    async def _hit(self, limiter: MovingWindowRateLimiter, client: str) -> float | None:
        if await limiter.hit(self._limit, client):
            return None
        window = await limiter.get_window_stats(self._limit, client)
        return max(0.0, window.reset_time - time.time())
