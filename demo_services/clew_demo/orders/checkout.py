"""From basket to order, across three services: reserve, pay, confirm; undo it all when a step fails."""

import asyncio
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from opentelemetry import baggage, context, trace

import clew
from clew_demo.orders.database import Orders
from clew_demo.orders.models import Line, Order, OrderRequest
from clew_demo.problems import Problem
from clew_demo.upstream import Upstream

ABANDONED_AFTER_S = 30
"""Longer than all timeouts of a checkout together: nobody works on such an order any more."""

log = structlog.get_logger()
tracer = trace.get_tracer(__name__)


class Checkout:
    """Places orders. Stock and money are held for an order that is confirmed, or soon for none."""

    def __init__(
        self, orders: Orders, *, inventory: Upstream, payments: Upstream, now_s: Callable[[], float] = time.time
    ) -> None:
        self.orders = orders
        self._inventory = inventory
        self._payments = payments
        self._now_s = now_s

    async def place(self, request: OrderRequest, *, idempotency_key: str | None = None) -> Order:
        """Order what is asked for, or find the order that the same key placed before. Raises `Problem`."""
        new = Order(
            id=f"o-{uuid.uuid4().hex[:12]}",
            user=request.user,
            state="pending",
            correlation_id=clew.correlation_id(),
        )
        order = await asyncio.to_thread(
            self.orders.create, new, idempotency_key=idempotency_key, created_s=self._now_s()
        )
        if order is not new:
            return _recall(order)
        log.info("order created", order_id=order.id, user=order.user, products=len(request.items))
        try:
            return await self._fulfil(order, request)
        except Problem as problem:
            log.warning("order failed", order_id=order.id, reason=problem.code)
            await self.cancel(order, reason=problem.code)
            raise

    async def cancel(self, order: Order, *, reason: str) -> None:
        """Give stock and money back, unless the order is finished; `settle_unfinished` repeats what fails."""
        if not await asyncio.to_thread(self.orders.start_cancelling, order.id, reason=reason):
            return
        try:
            await self._inventory.delete(f"/reservations/{order.id}")
            await self._payments.delete(f"/payments/{order.id}")
        except Problem as problem:
            log.warning("order is still to be undone", order_id=order.id, reason=problem.code)
            return
        await asyncio.to_thread(self.orders.finish_cancelling, order.id)

    async def settle_unfinished(self) -> None:
        """Undo orders that a crash, or a service that was away, left half-way."""
        before_s = self._now_s() - ABANDONED_AFTER_S
        for order in await asyncio.to_thread(self.orders.unfinished, before_s=before_s):
            with _resumed(order):
                log.info("undoing an abandoned order", order_id=order.id)
                await self.cancel(order, reason=order.reason or "abandoned")

    async def close(self) -> None:
        """Let go of the neighbours and the file."""
        await self._inventory.close()
        await self._payments.close()
        self.orders.close()

    async def _fulfil(self, order: Order, request: OrderRequest) -> Order:
        items = [item.model_dump() for item in request.items]
        wrap_cents = await self._wrap(items) if request.gift_wrap else 0
        reservation = await self._inventory.post("/reservations", {"order_id": order.id, "items": items})
        order = order.model_copy(
            update={
                "state": "confirmed",
                "lines": [Line(**line) for line in reservation["lines"]],
                "total_cents": reservation["total_cents"] + wrap_cents,
            }
        )
        charge = {"order_id": order.id, "amount_cents": order.total_cents, "card": request.card}
        await self._payments.post("/payments", charge)
        if not await asyncio.to_thread(self.orders.confirm, order):
            raise Problem(409, "order_cancelled", f"Order {order.id} took too long and was cancelled.")
        log.info("order confirmed", order_id=order.id, total_cents=order.total_cents)
        return order

    async def _wrap(self, items: list[dict[str, Any]]) -> int:
        packing = await self._inventory.post("/packings", {"items": items})
        return int(packing["price_cents"])


@contextmanager
def _resumed(order: Order) -> Iterator[None]:
    """Work that belongs to the request that placed the order, and is found under its ID, though that is over."""
    token = context.attach(baggage.set_baggage("correlation.id", order.correlation_id))
    try:
        with tracer.start_as_current_span("undo abandoned order", attributes={"order.id": order.id}):
            yield
    finally:
        context.detach(token)


def _recall(order: Order) -> Order:
    """Answer as the first time."""
    if order.state == "confirmed":
        return order
    if order.state == "pending":
        raise Problem(409, "order_in_progress", f"Order {order.id} is being placed.")
    raise Problem(409, "order_failed", f"Order {order.id} failed before: {order.reason}.")
