"""Routes of the catalog."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from litestar import Litestar, Request, get
from litestar.datastructures import MutableScopeHeaders
from litestar.di import NamedDependency, Provide
from litestar.params import Parameter
from litestar.types import Message, Scope

import clew
from clew_demo.catalog.deployment import Deployment
from clew_demo.catalog.failures import HANDLERS
from clew_demo.catalog.models import Product
from clew_demo.catalog.pages import Catalog
from clew_demo.registry import Heartbeat

ProductId = Annotated[str, Parameter(pattern=r"^[\w-]+$", max_length=64)]
TheCatalog = NamedDependency[Catalog]
TheDeployment = NamedDependency[Deployment]


def create_app(catalog: Catalog, deployment: Deployment, *, heartbeat: Heartbeat | None = None) -> Litestar:
    """One instance of the service, found in the registry for as long as it runs."""

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        if heartbeat is not None:
            heartbeat.start()
        yield
        if heartbeat is not None:
            await asyncio.to_thread(heartbeat.stop)
        await catalog.close()

    async def describe_request(request: Request[Any, Any, Any]) -> None:
        deployment.describe_request()

    async def name_instance(message: Message, scope: Scope) -> None:
        if message["type"] == "http.response.start":
            headers = MutableScopeHeaders.from_message(message)
            headers["X-Instance"] = deployment.instance
            headers["X-Version"] = deployment.version

    app = Litestar(
        [list_products, get_product, list_related, is_healthy],
        dependencies={
            "catalog": Provide(lambda: catalog, sync_to_thread=False),
            "deployment": Provide(lambda: deployment, sync_to_thread=False),
        },
        lifespan=[lifespan],
        before_request=describe_request,
        before_send=[name_instance],
        exception_handlers=HANDLERS,
        openapi_config=None,
        logging_config=None,
    )
    return clew.instrument(app)


@get("/products")
async def list_products(catalog: TheCatalog) -> list[Product]:
    """All products."""
    return await catalog.products()


@get("/products/{product_id:str}")
async def get_product(product_id: ProductId, catalog: TheCatalog, deployment: TheDeployment) -> Product:
    """One product."""
    deployment.fail_page()
    return await catalog.page(product_id)


@get("/products/{product_id:str}/related")
async def list_related(product_id: ProductId, catalog: TheCatalog) -> list[Product]:
    """Products that go with this one."""
    return await catalog.related(product_id)


@get("/healthz")
async def is_healthy() -> dict[str, str]:
    """Whether this instance answers."""
    return {"status": "ok"}
