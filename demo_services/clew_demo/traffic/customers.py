"""Sending what visitors do, each visit on its own and at its time, as real ones would."""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Iterable

import httpx

from clew_demo.traffic.actions import Action
from clew_demo.traffic.visits import Visit

MAX_WAITING = 100
"""Visitors that wait for an answer at one time; who comes on top of them goes away again."""
KNOWN_ORDERS = 200

log = logging.getLogger(__name__)


class Customers:
    """The visitors of one gateway. They shrug at failures, and come back when it does."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.outcomes: Counter[str] = Counter()
        """Actions so far: `ok`, `refused` (4xx), `failed` (5xx), `unreachable`; `gone` are visits (too busy)."""
        self.orders: deque[str] = deque(maxlen=KNOWN_ORDERS)
        """The latest that were placed, the newest first."""
        self._client = client
        self._waiting = 0
        self._is_reachable = True

    async def perform(self, visits: Iterable[Visit]) -> None:
        """Begin each visit when it is due, until there are no more and the last one has left."""
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        async with asyncio.TaskGroup() as group:
            for visit in visits:
                due_s += visit.after_s
                await asyncio.sleep(due_s - loop.time())
                group.create_task(_Session(self).spend(visit))

    async def send(self, action: Action, *, path: str, token: str | None) -> httpx.Response | None:
        """The answer to an action; `None` if there was none."""
        headers = {**action.headers, **({"Authorization": f"Bearer {token}"} if token else {})}
        self._waiting += 1
        try:
            response = await self._client.request(action.method, path, json=action.body, headers=headers)
        except httpx.HTTPError as error:
            self.outcomes["unreachable"] += 1
            self._note_reachable(False, detail=repr(error))
            return None
        finally:
            self._waiting -= 1
        self._note_reachable(True)
        self.outcomes[_outcome(response)] += 1
        return response

    @property
    def is_crowded(self) -> bool:
        """Whether so many wait for an answer that nobody else wants to."""
        return self._waiting >= MAX_WAITING

    def _note_reachable(self, reachable: bool, *, detail: str = "") -> None:
        if reachable != self._is_reachable:
            log.warning("gateway is back" if reachable else f"gateway is away: {detail}")
        self._is_reachable = reachable


class _Session:
    """One visitor between coming and leaving: the token and the order are theirs."""

    def __init__(self, customers: Customers) -> None:
        self._customers = customers
        self._token: str | None = None
        self._order_id: str | None = None

    async def spend(self, visit: Visit) -> None:
        for action in visit.actions:
            await asyncio.sleep(action.after_s)
            if self._customers.is_crowded:
                self._customers.outcomes["gone"] += 1
                return
            if action.needs_token and self._token is None:
                return  # the login failed: no way to pay
            path = self._path(action)
            response = await self._customers.send(action, path=path, token=self._token)
            if response is not None and response.is_success:
                self._remember(action, response)

    def _path(self, action: Action) -> str:
        """The action's path, about an order that exists; the list of products as long as there is none."""
        if "{order_id}" not in action.path:
            return action.path
        order_id = self._order_id or next(iter(self._customers.orders), None)
        return action.path.format(order_id=order_id) if order_id else "/products"

    def _remember(self, action: Action, response: httpx.Response) -> None:
        if action.path == "/login":
            self._token = response.json()["token"]
        elif action.path == "/checkout":
            self._order_id = response.json()["id"]
            self._customers.orders.appendleft(self._order_id)


def _outcome(response: httpx.Response) -> str:
    if response.is_server_error:
        return "failed"
    return "refused" if response.is_client_error else "ok"
