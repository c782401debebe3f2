"""The shop as its customers see it, put together from the services behind the gateway."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import structlog

from clew_demo.gateway.database import Views
from clew_demo.gateway.models import CheckoutRequest
from clew_demo.problems import Problem
from clew_demo.upstream import Upstream

RECENTLY_VIEWED = 5

log = structlog.get_logger()


class Shop:
    """What customers can do. Every method raises `Problem`."""

    def __init__(
        self, views: Views, *, orders: Upstream, inventory: Upstream, now_s: Callable[[], float] = time.time
    ) -> None:
        self._views = views
        self._orders = orders
        self._inventory = inventory
        self._now_s = now_s

    async def products(self) -> Any:
        """All products."""
        products = await self._inventory.get("/products")
        log.info("products listed", products=len(products))
        return products

    async def product_page(self, product_id: str, *, user: str | None) -> dict[str, Any]:
        """A product with all that its page shows, asked for at the same time."""
        product, stock, related = await asyncio.gather(
            self._inventory.get(f"/products/{product_id}"),
            self._inventory.get(f"/products/{product_id}/stock"),
            self._inventory.get(f"/products/{product_id}/related"),
        )
        page = {**product, "available": stock["available"], "related": related}
        log.info("product viewed", product_id=product_id, user=user, available=stock["available"])
        return page | {"recently_viewed": await self._note_view(user, product_id) if user else []}

    async def check_out(self, wanted: CheckoutRequest, *, idempotency_key: str | None) -> Any:
        """Buy a basket."""
        units = sum(item.quantity for item in wanted.items)
        details = {"user": wanted.user, "units": units, "gift_wrap": wanted.gift_wrap}
        log.info("checkout started", **details)
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        try:
            order = await self._orders.post("/orders", wanted.model_dump(), headers=headers)
        except Problem as problem:
            if problem.is_refusal:
                log.warning("checkout refused", **details, reason=problem.code)
            else:
                log.error("checkout failed", **details, reason=problem.code, status=problem.status)
            raise
        log.info("checkout finished", order_id=order["id"], total_cents=order["total_cents"])
        return order

    async def order(self, order_id: str) -> Any:
        """One order."""
        order = await self._orders.get(f"/orders/{order_id}")
        log.info("order looked up", order_id=order_id, state=order["state"])
        return order

    async def restock(self) -> Any:
        """Let a delivery in."""
        return await self._inventory.post("/restock")

    async def close(self) -> None:
        """Let go of the services and the file."""
        await self._orders.close()
        await self._inventory.close()
        self._views.close()

    async def _note_view(self, user: str, product_id: str) -> list[str]:
        return await asyncio.to_thread(self._views.add, user, product_id, seen_s=self._now_s(), limit=RECENTLY_VIEWED)
