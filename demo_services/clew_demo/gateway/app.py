"""Routes of the gateway."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Header, Request

from clew_demo.gateway import refusals
from clew_demo.gateway.entrance import Customer, Entrance, check_is_own, within_rate_limit
from clew_demo.gateway.models import CheckoutRequest, LoginRequest, Slug
from clew_demo.gateway.shop import Shop
from clew_demo.serving import build_app

Job = Callable[[], Coroutine[Any, Any, None]]

router = APIRouter(dependencies=[Depends(within_rate_limit)])


def create_app(shop: Shop, entrance: Entrance, *, jobs: Sequence[Job] = ()) -> FastAPI:
    """The gateway in front of a shop; `jobs` run as long as it does."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(job()) for job in jobs]
            yield
            for task in tasks:
                task.cancel()
        await shop.close()

    app = build_app("gateway", router, lifespan=lifespan)
    refusals.install(app)
    app.state.shop = shop
    app.state.entrance = entrance
    return app


async def the_shop(request: Request) -> Shop:
    """The shop that the app was made with."""
    shop: Shop = request.app.state.shop
    return shop


InShop = Annotated[Shop, Depends(the_shop)]


@router.post("/login")
async def log_in(wanted: LoginRequest, shop: InShop) -> Any:
    """A token to check out with."""
    return await shop.log_in(wanted.user)


@router.get("/products")
async def list_products(shop: InShop) -> Any:
    """All products."""
    return await shop.products()


@router.get("/products/{product_id}")
async def get_product(product_id: Slug, shop: InShop, user: Slug | None = None) -> Any:
    """A product, how many are left, what goes with it, and what the user saw before."""
    return await shop.product_page(product_id, user=user)


@router.post("/checkout", status_code=201)
async def check_out(
    wanted: CheckoutRequest,
    customer: Customer,
    shop: InShop,
    idempotency_key: Annotated[str | None, Header(max_length=64)] = None,
) -> Any:
    """Buy a basket and earn points. With an `Idempotency-Key`, safe to repeat."""
    check_is_own(wanted.user, customer=customer)
    return await shop.check_out(wanted, idempotency_key=idempotency_key)


@router.get("/orders/{order_id}")
async def get_order(order_id: Slug, shop: InShop) -> Any:
    """An order and how far it came."""
    return await shop.order(order_id)


@router.post("/restock")
async def restock(shop: InShop) -> Any:
    """Let a delivery in."""
    return await shop.restock()
