"""One buyer at a time for a product of which few are left, over all instances of the service.

The database alone keeps stock from going below zero: each update looks again whether enough is left, so a holder whose
lock has run out does no harm. What the lock does: the crowd for the last unit waits here, one by one, and not for
SQLite's only writer, which all other orders need too.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

import structlog
from opentelemetry import trace
from redis.asyncio import Redis
from redis.asyncio.lock import Lock
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import LockNotOwnedError, RedisError

from clew_demo.assortment import ARTICLES
from clew_demo.faults.switchboard import Switchboard

LIMITED = frozenset(article.id for article in ARTICLES if article.target_stock < 10)
"""Products that sell out."""

WAIT_S = 2.0
"""How long a buyer waits for those before him."""

TTL_S = 5.0
"""When a lock whose holder has died is free again."""

LOOK_EVERY_S = 0.05
REDIS_TIMEOUT_S = 0.5

HOLD_LONGER_S = 0.3
"""What the fault `lock-contention` adds to each time that a lock is held."""

log = structlog.get_logger()
tracer = trace.get_tracer(__name__)


class ProductBusy(Exception):
    """Others were buying the same product for too long."""


class ProductLocks:
    """Locks of the limited products, in Redis. While Redis is away there are none, and the database decides alone."""

    def __init__(self, redis_url: str, *, faults: Switchboard, wait_s: float = WAIT_S, ttl_s: float = TTL_S) -> None:
        self._redis = Redis.from_url(
            redis_url,
            socket_timeout=REDIS_TIMEOUT_S,
            socket_connect_timeout=REDIS_TIMEOUT_S,
            retry=Retry(NoBackoff(), retries=0),
        )
        self._faults = faults
        self._wait_s = wait_s
        self._ttl_s = ttl_s
        self._is_reachable = True

    @asynccontextmanager
    async def holding(self, product_ids: Iterable[str]) -> AsyncIterator[None]:
        """Hold the locks of those products that are limited. Raises `ProductBusy`."""
        async with AsyncExitStack() as stack:
            # In one order for all: two baskets with the same two products never wait for each other.
            for product_id in sorted(LIMITED.intersection(product_ids)):
                await stack.enter_async_context(self._holding(product_id))
            yield

    async def close(self) -> None:
        """Let go of the connections."""
        await self._redis.aclose()

    @asynccontextmanager
    async def _holding(self, product_id: str) -> AsyncIterator[None]:
        lock = Lock(
            self._redis,
            f"clew-demo:lock:{product_id}",
            timeout=self._ttl_s,
            sleep=LOOK_EVERY_S,
            blocking_timeout=self._wait_s,
            thread_local=False,
        )
        is_held = await self._acquire(lock, product_id)
        try:
            yield
            if is_held and self._faults.is_on("lock-contention"):
                await asyncio.sleep(HOLD_LONGER_S)
        finally:
            if is_held:
                await _release(lock, product_id)

    async def _acquire(self, lock: Lock, product_id: str) -> bool:
        """Whether the lock is held now: it is not while Redis is away. Raises `ProductBusy`."""
        attributes: dict[str, str | float] = {
            "lock.name": str(lock.name),
            "lock.wait_limit_s": self._wait_s,
            "lock.ttl_s": self._ttl_s,
        }
        with tracer.start_as_current_span("acquire lock", attributes=attributes) as span:
            try:
                is_held = await lock.acquire()
            except (RedisError, OSError) as error:
                self._note_reachable(False, reason=str(error))
                span.set_attribute("lock.outcome", "unreachable")
                return False
            self._note_reachable(True)
            span.set_attribute("lock.outcome", "acquired" if is_held else "busy")
            if not is_held:
                raise ProductBusy(product_id)
            return True

    def _note_reachable(self, is_reachable: bool, *, reason: str = "") -> None:
        """Say once that Redis has gone, and once that it is back."""
        if self._is_reachable and not is_reachable:
            log.warning("locks are away, the database decides alone", reason=reason)
        elif is_reachable and not self._is_reachable:
            log.info("locks are back")
        self._is_reachable = is_reachable


async def _release(lock: Lock, product_id: str) -> None:
    try:
        await lock.release()
    except LockNotOwnedError:
        log.warning("lock ran out before it was released", product_id=product_id)
    except (RedisError, OSError):
        log.warning("lock is left to run out", product_id=product_id)
