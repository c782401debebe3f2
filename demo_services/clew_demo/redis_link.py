"""How services reach Redis: quick to give up, as none of them needs an answer, and quiet while it is away."""

from typing import Any

import structlog
from redis.backoff import NoBackoff
from redis.retry import Retry

TIMEOUT_S = 1.0

log = structlog.get_logger()


class Link:
    """Whether Redis can be reached, logged once when that changes."""

    def __init__(self, used_for: str) -> None:
        self.options: dict[str, Any] = {
            "socket_timeout": TIMEOUT_S,
            "socket_connect_timeout": TIMEOUT_S,
            # Once more, at once: after a restart of Redis, the connections in the pool are dead.
            "retry": Retry(NoBackoff(), 1),
            "decode_responses": True,
        }
        """What clients of both kinds, `redis` and `redis.asyncio`, are made with."""
        self._used_for = used_for
        self.is_away = False

    def failed(self, error: Exception) -> None:
        """Note that Redis did not answer."""
        if not self.is_away:
            self.is_away = True
            log.warning("redis cannot be reached", used_for=self._used_for, error=str(error))

    def worked(self) -> None:
        """Note that it did."""
        if self.is_away:
            self.is_away = False
            log.info("redis is back", used_for=self._used_for)
