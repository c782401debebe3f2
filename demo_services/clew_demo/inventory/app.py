"""Routes of the inventory service. Plain functions: FastAPI runs them in threads, where SQLite may block."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, FastAPI, Request

from clew_demo.inventory.database import (
    Inventory,
    OutOfStock,
    ReservationCancelled,
    TooBigToWrap,
    UnknownProduct,
)
from clew_demo.inventory.models import (
    Availability,
    Packing,
    PackingRequest,
    Product,
    Release,
    Reservation,
    ReservationRequest,
    Restock,
)
from clew_demo.problems import Problem
from clew_demo.serving import build_app

log = structlog.get_logger()
router = APIRouter()


def create_app(inventory: Inventory) -> FastAPI:
    """The service on its database."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        inventory.close()

    app = build_app("inventory", router, lifespan=lifespan)
    app.state.inventory = inventory
    return app


async def the_inventory(request: Request) -> Inventory:
    """The database that the app was made with."""
    inventory: Inventory = request.app.state.inventory
    return inventory


Stocked = Annotated[Inventory, Depends(the_inventory)]


@contextmanager
def translated() -> Iterator[None]:
    """What the inventory refuses, in the words of HTTP."""
    try:
        yield
    except UnknownProduct as error:
        raise Problem(404, "unknown_product", f"There is no product {error}.") from error
    except OutOfStock as error:
        log.warning("out of stock", products=str(error))
        raise Problem(409, "out_of_stock", f"Too few left of {error}.") from error
    except ReservationCancelled as error:
        raise Problem(409, "order_cancelled", f"Order {error} was cancelled.") from error
    except TooBigToWrap as error:
        raise Problem(409, "too_big_to_wrap", f"No gift boxes hold {error}.") from error


@router.get("/products")
def list_products(inventory: Stocked, category: str | None = None) -> list[Product]:
    """All products, or those of one category."""
    return inventory.products(category=category)


@router.get("/products/{product_id}")
def get_product(product_id: str, inventory: Stocked) -> Product:
    """One product."""
    with translated():
        return inventory.product(product_id)


@router.get("/products/{product_id}/stock")
def get_stock(product_id: str, inventory: Stocked) -> Availability:
    """How many units are left."""
    with translated():
        return Availability(product_id=product_id, available=inventory.available(product_id))


@router.get("/products/{product_id}/related")
def list_related(product_id: str, inventory: Stocked) -> list[Product]:
    """Products that go with this one."""
    return inventory.related(product_id)


@router.post("/reservations", status_code=201)
def reserve(wanted: ReservationRequest, inventory: Stocked) -> Reservation:
    """Set stock aside for an order."""
    with translated():
        lines = inventory.reserve(wanted.order_id, wanted.items)
    total_cents = sum(line.unit_cents * line.quantity for line in lines)
    log.info("stock reserved", order_id=wanted.order_id, units=sum(line.quantity for line in lines))
    return Reservation(order_id=wanted.order_id, lines=lines, total_cents=total_cents)


@router.delete("/reservations/{order_id}")
def release(order_id: str, inventory: Stocked) -> Release:
    """Put an order's stock back. Safe to repeat, and before the reservation has come."""
    units = inventory.release(order_id)
    log.info("stock released", order_id=order_id, units=units)
    return Release(order_id=order_id, units=units)


@router.post("/packings")
def pack(wanted: PackingRequest, inventory: Stocked) -> Packing:
    """Find gift boxes for a basket."""
    with translated():
        packing = inventory.fit_boxes(wanted.items)
    log.info("gift boxes found", boxes=packing.boxes, price_cents=packing.price_cents)
    return packing


@router.post("/restock")
def restock(inventory: Stocked) -> Restock:
    """Take in a delivery."""
    units = inventory.restock()
    log.info("shelves restocked", units=units)
    return Restock(units=units)
