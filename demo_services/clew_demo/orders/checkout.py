"""From basket to order, a saga across services: reserve, pay, ship; a step that fails has all before it undone."""

import asyncio
import uuid
from collections.abc import Sequence
from typing import Protocol

import structlog

import clew
from clew_demo.faults.switchboard import Switchboard
from clew_demo.inventory.models import Packing, Reservation
from clew_demo.orders.database import Orders
from clew_demo.orders.event_store import Conflict
from clew_demo.orders.events import HAPPENS_IN, Event
from clew_demo.orders.models import Item, Order, OrderRequest
from clew_demo.problems import Problem
from clew_demo.upstream import Upstream

ABANDONED_AFTER_S = 30
"""Longer than all timeouts of a checkout together: nobody works on such an order any more."""

log = structlog.get_logger()


class Inventory(Protocol):
    """What a checkout asks of the inventory service. All of it may be repeated, and raises `Problem`."""

    async def reserve(self, order_id: str, items: Sequence[Item]) -> Reservation:
        """Set stock aside: all of it or none."""

    async def release(self, order_id: str) -> int:
        """Put stock back, also before it was reserved; how many units."""

    async def fit_boxes(self, items: Sequence[Item]) -> Packing:
        """The gift boxes for a basket."""

    async def close(self) -> None:
        """Let go of the connection."""


class Checkout:
    """Places orders. Stock and money are held for an order that is paid, or soon for none.

    The last step is taken elsewhere: shipping hears that the order is paid, and its answer comes as `News`.
    """

    def __init__(self, orders: Orders, *, inventory: Inventory, payments: Upstream, faults: Switchboard) -> None:
        self.orders = orders
        self._inventory = inventory
        self._payments = payments
        self._faults = faults

    async def place(self, request: OrderRequest, *, idempotency_key: str | None = None) -> Order:
        """Order what is asked for, or find the order that the same key placed before. Raises `Problem`."""
        order_id = f"o-{uuid.uuid4().hex[:12]}"
        new = Order(id=order_id, user=request.user, state="pending", correlation_id=clew.correlation_id())
        order = await asyncio.to_thread(self.orders.place, new, idempotency_key=idempotency_key)
        if order.id != order_id:
            return _recall(order)
        log.info("order created", order_id=order.id, user=order.user, products=len(request.items))
        try:
            return await self._fulfil(order, request)
        except Problem as problem:
            log.warning("order failed", order_id=order.id, reason=problem.code)
            await self.cancel(order.id, reason=problem.code)
            raise

    async def cancel(self, order_id: str, *, reason: str) -> None:
        """Call an order off and undo it, unless it is on its way; what fails of that, `settle_unfinished` repeats."""
        while order := await asyncio.to_thread(self.orders.load, order_id):
            if order.state in HAPPENS_IN["cancelling"]:
                try:
                    order = await self._record(order, Event("cancelling", {"reason": reason}))
                except Conflict:
                    continue
            if order.state == "cancelling":
                await self.undo(order)
            return

    async def undo(self, order: Order) -> None:
        """Give back the stock and the money of an order that is being cancelled. Twice is safe."""
        try:
            await self._inventory.release(order.id)
            await self._payments.delete(f"/payments/{order.id}")
        except Problem as problem:
            log.warning("order is still to be undone", order_id=order.id, reason=problem.code)
            return
        try:
            await self._record(order, Event("failed"))
        except Conflict:
            return  # another one was faster
        log.info("order undone", order_id=order.id, reason=order.reason)

    async def settle_unfinished(self) -> None:
        """Undo orders that a crash, or a service that was away, left half-way."""
        for order in await asyncio.to_thread(self.orders.unfinished, older_than_s=ABANDONED_AFTER_S):
            headers = await asyncio.to_thread(self.orders.headers_of, order)
            # It is found under the request that placed the order, though that is over.
            with clew.request("undo abandoned order", headers=headers, attributes={"order.id": order.id}):
                log.info("undoing an abandoned order", order_id=order.id)
                await self.cancel(order.id, reason="abandoned")

    async def close(self) -> None:
        """Let go of the neighbours and the file."""
        await self._inventory.close()
        await self._payments.close()
        self.orders.close()

    async def _fulfil(self, order: Order, request: OrderRequest) -> Order:
        wrap_cents = (await self._inventory.fit_boxes(request.items)).price_cents if request.gift_wrap else 0
        reservation = await self._inventory.reserve(order.id, request.items)
        lines = [line.model_dump() for line in reservation.lines]
        reserved = Event("reserved", {"lines": lines, "total_cents": reservation.total_cents + wrap_cents})
        try:
            order = await self._record(order, reserved)
            await self._charge(order, request.card)
            order = await self._record(order, Event("paid"))
        except Conflict as error:
            raise Problem(409, "order_cancelled", f"Order {order.id} took too long and was cancelled.") from error
        log.info("order paid", order_id=order.id, total_cents=order.total_cents)
        return order

    async def _charge(self, order: Order, card: str) -> None:
        amount = "amount" if self._faults.is_on("version-break") else "amount_cents"
        await self._payments.post("/payments", {"order_id": order.id, amount: order.total_cents, "card": card})

    async def _record(self, order: Order, event: Event) -> Order:
        return await asyncio.to_thread(self.orders.record, order, event)


def _recall(order: Order) -> Order:
    """Answer as the first time."""
    log.info("order recalled", order_id=order.id, state=order.state)
    if order.state in ("paid", "shipped"):
        return order
    if order.state == "pending":
        raise Problem(409, "order_in_progress", f"Order {order.id} is being placed.")
    raise Problem(409, "order_failed", f"Order {order.id} failed before: {order.reason}.")
