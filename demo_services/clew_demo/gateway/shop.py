"""The shop as its customers see it, put together from the services behind the gateway."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import structlog

from clew_demo.gateway.database import Views
from clew_demo.gateway.models import CheckoutRequest
from clew_demo.gateway.neighbours import Neighbours
from clew_demo.problems import Problem
from clew_demo.resilience.bulkhead import Bulkhead
from clew_demo.resilience.fan_out import together

RECENTLY_VIEWED = 5

T = TypeVar("T")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Compartments:
    """Places for each kind of work that takes several services: slow checkouts leave product pages alone."""

    product_pages: Bulkhead = field(default_factory=lambda: Bulkhead("product pages", places=32, queue=64, wait_s=1))
    checkouts: Bulkhead = field(default_factory=lambda: Bulkhead("checkouts", places=24, queue=48, wait_s=3))


class Shop:
    """What customers can do. Every method raises `Problem`; those with a compartment `BulkheadFull`, too."""

    def __init__(
        self,
        views: Views,
        neighbours: Neighbours,
        *,
        compartments: Compartments | None = None,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._views = views
        self._neighbours = neighbours
        self._compartments = compartments or Compartments()
        self._now_s = now_s

    async def products(self) -> Any:
        """All products."""
        products = await self._neighbours.catalog.get("/products")
        log.info("products listed", products=len(products))
        return products

    async def product_page(self, product_id: str, *, user: str | None) -> dict[str, Any]:
        """A product with all that its page shows, asked for at the same time. Only the product itself must be there."""
        catalog, inventory = self._neighbours.catalog, self._neighbours.inventory
        async with self._compartments.product_pages.place():
            product, related, available, recommended = await together(
                catalog.get(f"/products/{product_id}"),
                _optional(catalog.get(f"/products/{product_id}/related"), [], missing="related products left out"),
                _optional(inventory.stock(product_id), None, missing="stock left out"),
                _optional(self._recommended(product_id), [], missing="recommendations left out"),
            )
        page = {**product, "available": available, "related": related, "recommended": recommended}
        log.info("product viewed", product_id=product_id, user=user, available=available)
        return page | {"recently_viewed": await self._note_view(user, product_id) if user else []}

    async def check_out(self, wanted: CheckoutRequest, *, idempotency_key: str | None) -> dict[str, Any]:
        """Purchase and earn points: one call over two services, whose second half can wait."""
        async with self._compartments.checkouts.place():
            order = await self._place_order(wanted, idempotency_key=idempotency_key)
            return {**order, "points": await self._earn_points(order)}

    async def order(self, order_id: str) -> Any:
        """One order."""
        order = await self._neighbours.orders.get(f"/orders/{order_id}")
        log.info("order looked up", order_id=order_id, state=order["state"])
        return order

    async def log_in(self, user: str) -> Any:
        """A token for a user."""
        return await self._neighbours.accounts.post("/tokens", {"user": user})

    async def restock(self) -> dict[str, int]:
        """Let a delivery in."""
        return {"units": await self._neighbours.inventory.restock()}

    async def close(self) -> None:
        """Let go of the services and the file."""
        await self._neighbours.close()
        self._views.close()

    async def _place_order(self, wanted: CheckoutRequest, *, idempotency_key: str | None) -> dict[str, Any]:
        units = sum(item.quantity for item in wanted.items)
        details = {"user": wanted.user, "units": units, "gift_wrap": wanted.gift_wrap}
        log.info("checkout started", **details)
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        try:
            order: dict[str, Any] = await self._neighbours.orders.post("/orders", wanted.model_dump(), headers=headers)
        except Problem as problem:
            if problem.is_refusal:
                log.warning("checkout refused", **details, reason=problem.code)
            else:
                log.error("checkout failed", **details, reason=problem.code, status=problem.status)
            raise
        log.info("checkout finished", order_id=order["id"], total_cents=order["total_cents"])
        return order

    async def _earn_points(self, order: dict[str, Any]) -> Any:
        """The points of an order; `None` when accounts is away, which earns them from the order's event later."""
        earned = {"order_id": order["id"], "user": order["user"], "total_cents": order["total_cents"]}
        points = self._neighbours.accounts.post("/points", earned)
        return await _optional(points, None, missing="points are earned later")

    async def _recommended(self, product_id: str) -> list[str]:
        answer = await self._neighbours.recommendations.get(f"/recommendations/{product_id}")
        products: list[str] = answer["products"]
        return products

    async def _note_view(self, user: str, product_id: str) -> list[str]:
        return await asyncio.to_thread(self._views.add, user, product_id, seen_s=self._now_s(), limit=RECENTLY_VIEWED)


async def _optional(call: Awaitable[T], otherwise: T, *, missing: str) -> T:
    """What a call gives, or something to do without it."""
    try:
        return await call
    except Problem as problem:
        log.warning(missing, reason=problem.code)
        return otherwise
