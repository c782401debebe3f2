"""Routes of pricing: what a product costs at this hour."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from clew_demo.assortment import ARTICLES
from clew_demo.pricing.discounts import discount_percent
from clew_demo.pricing.reporter import Reporter
from clew_demo.pricing.tracing import ZipkinMiddleware

PRODUCTS = {article.id: article for article in ARTICLES}


def create_app(reporter: Reporter, *, random: Random, hour: Callable[[], int]) -> Starlette:
    """The service. `hour` is the one of the day, 0 to 23."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        reporter.start()
        yield
        reporter.stop()

    async def price(request: Request) -> JSONResponse:
        article = PRODUCTS.get(request.path_params["product_id"])
        if article is None:
            detail = f"There is no product {request.path_params['product_id']}."
            return JSONResponse({"status": 404, "code": "unknown_product", "detail": detail}, 404)
        percent = discount_percent(article.category, hour())
        price_cents = article.price_cents * (100 - percent) // 100
        return JSONResponse({"product_id": article.id, "price_cents": price_cents, "discount_percent": percent})

    async def healthz(request: Request) -> JSONResponse:
        return JSONResponse({"status": "ok"})

    return Starlette(
        routes=[Route("/prices/{product_id}", price), Route("/healthz", healthz)],
        middleware=[Middleware(ZipkinMiddleware, service="pricing", reporter=reporter, random=random)],
        lifespan=lifespan,
    )
