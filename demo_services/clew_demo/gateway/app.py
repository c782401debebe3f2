"""Routes of the gateway."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Header, Request

from clew_demo.gateway.models import CheckoutRequest, Slug
from clew_demo.gateway.shop import Shop
from clew_demo.serving import build_app

router = APIRouter()


def create_app(shop: Shop) -> FastAPI:
    """The gateway in front of a shop."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await shop.close()

    app = build_app("gateway", router, lifespan=lifespan)
    app.state.shop = shop
    return app


async def the_shop(request: Request) -> Shop:
    """The shop that the app was made with."""
    shop: Shop = request.app.state.shop
    return shop


InShop = Annotated[Shop, Depends(the_shop)]


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
    wanted: CheckoutRequest, shop: InShop, idempotency_key: Annotated[str | None, Header(max_length=64)] = None
) -> Any:
    """Buy a basket. With an `Idempotency-Key`, safe to repeat."""
    return await shop.check_out(wanted, idempotency_key=idempotency_key)


@router.get("/orders/{order_id}")
async def get_order(order_id: Slug, shop: InShop) -> Any:
    """An order and how far it came."""
    return await shop.order(order_id)


@router.post("/restock")
async def restock(shop: InShop) -> Any:
    """Let a delivery in."""
    return await shop.restock()
