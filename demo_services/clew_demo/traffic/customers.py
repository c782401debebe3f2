"""Sending what customers do, at its time and without waiting for answers, as real customers would."""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Iterable

import httpx

from clew_demo.traffic.actions import Action

MAX_UNDER_WAY = 100
"""Customers that wait for an answer at one time; who comes on top of them goes away again."""
KNOWN_ORDERS = 200

log = logging.getLogger(__name__)


class Customers:
    """The customers of one gateway. They shrug at failures, and come back when it does."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.outcomes: Counter[str] = Counter()
        """Actions so far: `ok`, `refused` (4xx), `failed` (5xx), `unreachable`, `gone` (too busy)."""
        self._client = client
        self._orders: deque[str] = deque(maxlen=KNOWN_ORDERS)
        self._is_reachable = True

    async def perform(self, actions: Iterable[Action]) -> None:
        """Send each action when it is due, until there are no more."""
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        under_way: set[asyncio.Task[None]] = set()
        async with asyncio.TaskGroup() as group:
            for action in actions:
                due_s += action.after_s
                await asyncio.sleep(due_s - loop.time())
                if len(under_way) >= MAX_UNDER_WAY:
                    self.outcomes["gone"] += 1
                    continue
                task = group.create_task(self._act(action))
                under_way.add(task)
                task.add_done_callback(under_way.discard)

    async def _act(self, action: Action) -> None:
        try:
            response = await self._client.request(
                action.method, self._path(action), json=action.body, headers=action.headers
            )
        except httpx.HTTPError as error:
            self.outcomes["unreachable"] += 1
            self._note_reachable(False, detail=repr(error))
            return
        self._note_reachable(True)
        self.outcomes[_outcome(response)] += 1
        if action.path == "/checkout" and response.is_success:
            self._orders.appendleft(response.json()["id"])

    def _path(self, action: Action) -> str:
        """The action's path, about an order that exists; the list of products as long as there is none."""
        if "{order_id}" not in action.path:
            return action.path
        if not self._orders:
            return "/products"
        return action.path.format(order_id=self._orders[min(action.recency, len(self._orders) - 1)])

    def _note_reachable(self, reachable: bool, *, detail: str = "") -> None:
        if reachable != self._is_reachable:
            log.warning("gateway is back" if reachable else f"gateway is away: {detail}")
        self._is_reachable = reachable


def _outcome(response: httpx.Response) -> str:
    if response.is_server_error:
        return "failed"
    return "refused" if response.is_client_error else "ok"
