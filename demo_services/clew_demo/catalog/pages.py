"""Product pages: from the cache, or put together from the database and the price of the moment."""

import asyncio

import structlog

from clew_demo.catalog.cache import Cache
from clew_demo.catalog.database import Products
from clew_demo.catalog.models import Product
from clew_demo.faults.switchboard import Switchboard
from clew_demo.problems import Problem
from clew_demo.upstream import Upstream

STAMPEDE_LOAD_S = 0.05

log = structlog.get_logger()


class Catalog:
    """What one instance answers."""

    def __init__(self, products: Products, cache: Cache, pricing: Upstream, *, faults: Switchboard) -> None:
        self._products = products
        self._cache = cache
        self._pricing = pricing
        self._faults = faults

    async def products(self) -> list[Product]:
        """Every product, at its list price."""
        return await asyncio.to_thread(self._products.all)

    async def page(self, product_id: str) -> Product:
        """One product, at the price of the moment or of up to half a minute ago. Raises `Problem`."""

        async def load() -> str:
            return (await self._load(product_id)).model_dump_json()

        return Product.model_validate_json(await self._cache.get_or_load(f"catalog:page:{product_id}", load))

    async def related(self, product_id: str) -> list[Product]:
        """A few products that go with this one."""
        return await asyncio.to_thread(self._products.related, product_id)

    async def close(self) -> None:
        """Let go of the file and the connections."""
        await self._pricing.close()
        await self._cache.close()
        self._products.close()

    async def _load(self, product_id: str) -> Product:
        if self._faults.is_on("cache-stampede"):
            await asyncio.sleep(STAMPEDE_LOAD_S)  # enough for requests to overlap
        product = await asyncio.to_thread(self._products.find, product_id)
        if product is None:
            raise Problem(404, "unknown_product", f"There is no product {product_id}.")
        price_cents = await self._price_cents(product)
        log.info("product page loaded", product_id=product_id, price_cents=price_cents)
        return product.model_copy(update={"price_cents": price_cents})

    async def _price_cents(self, product: Product) -> int:
        try:
            price = await self._pricing.get(f"/prices/{product.id}")
            return int(price["price_cents"])
        except (Problem, KeyError, TypeError, ValueError) as error:
            log.warning("no price, showing the list price", product_id=product.id, reason=str(error))
            return product.price_cents
