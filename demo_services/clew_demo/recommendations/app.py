"""Routes of the recommendations: what goes well with a product."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException, Request, Response
from opentelemetry import trace

from clew_demo.assortment import ARTICLES, Article
from clew_demo.faults.switchboard import Switchboard

RECOMMENDED = 3
TOO_SLOW_S = 5

log = logging.getLogger("recommendations")
tracer = trace.get_tracer("recommendations")


def create_app(faults: Switchboard, *, shut_down: Callable[[], None]) -> FastAPI:
    """The service. FastAPI makes a span of each request itself, as OpenTelemetry is set up in this process."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(shut_down)

    app = FastAPI(
        title="recommendations",
        lifespan=lifespan,
        telemetry={"operation_spans": False, "exclude": lambda scope: scope["path"] == "/healthz"},
    )

    @app.get("/recommendations/{product_id}")
    async def recommendations(product_id: str) -> dict[str, list[str]]:
        if faults.is_on("breaker-open"):
            await asyncio.sleep(TOO_SLOW_S)
        article = next((article for article in ARTICLES if article.id == product_id), None)
        if article is None:
            raise HTTPException(404, f"There is no product {product_id}.")
        products = recommend(article)
        log.info("products recommended", extra={"product_id": product_id, "products": products})
        return {"products": products}

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    app.middleware("http")(echo_request_id)
    return app


def recommend(article: Article) -> list[str]:
    """The products of the same category whose price is nearest."""
    with tracer.start_as_current_span("rank neighbours") as span:
        others = [other for other in ARTICLES if other.category == article.category and other is not article]
        others.sort(key=lambda other: abs(other.price_cents - article.price_cents))
        span.set_attribute("candidates", len(others))
        return [other.id for other in others[:RECOMMENDED]]


async def echo_request_id(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Tell the caller the ID that it sent."""
    response = await call_next(request)
    if request_id := request.headers.get("X-Request-ID"):
        response.headers["X-Request-ID"] = request_id
    return response
