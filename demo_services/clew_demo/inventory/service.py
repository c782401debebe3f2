"""The RPCs of the inventory service. What blocks runs in threads; the trace goes along."""
# ruff: noqa: N802  # gRPC's methods begin with a capital letter

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import structlog
from pydantic import ValidationError

from clew_demo.inventory import inventory_pb2 as pb2
from clew_demo.inventory.database import (
    Inventory,
    OutOfStock,
    ReservationCancelled,
    TooBigToWrap,
    UnknownProduct,
)
from clew_demo.inventory.inventory_pb2_grpc import InventoryServicer
from clew_demo.inventory.lock import ProductBusy, ProductLocks
from clew_demo.inventory.models import Basket, Item
from clew_demo.inventory.refusals import METADATA_KEY, REFUSALS

log = structlog.get_logger()


class InventoryService(InventoryServicer):
    """Stock on a database; limited products are sold to one buyer at a time."""

    def __init__(self, inventory: Inventory, locks: ProductLocks) -> None:
        self._inventory = inventory
        self._locks = locks

    async def Reserve(self, request: pb2.ReserveRequest, context: Any) -> pb2.Reservation:
        """Set stock aside for an order."""
        async with _refusing(context):
            items = _items(request.items)
            async with self._locks.holding(item.product_id for item in items):
                lines = await asyncio.to_thread(self._inventory.reserve, request.order_id, items)
        log.info("stock reserved", order_id=request.order_id, units=sum(line.quantity for line in lines))
        return pb2.Reservation(
            order_id=request.order_id,
            lines=[pb2.Line(**line.model_dump()) for line in lines],
            total_cents=sum(line.unit_cents * line.quantity for line in lines),
        )

    async def Release(self, request: pb2.ReleaseRequest, context: Any) -> pb2.Released:
        """Put an order's stock back."""
        units = await asyncio.to_thread(self._inventory.release, request.order_id)
        log.info("stock released", order_id=request.order_id, units=units)
        return pb2.Released(order_id=request.order_id, units=units)

    async def Stock(self, request: pb2.StockRequest, context: Any) -> pb2.Availability:
        """How many units are left."""
        async with _refusing(context):
            available = await asyncio.to_thread(self._inventory.available, request.product_id)
        return pb2.Availability(product_id=request.product_id, available=available)

    async def Restock(self, request: pb2.RestockRequest, context: Any) -> pb2.Delivery:
        """Take in a delivery."""
        units = await asyncio.to_thread(self._inventory.restock)
        log.info("shelves restocked", units=units)
        return pb2.Delivery(units=units)

    async def FitBoxes(self, request: pb2.FitBoxesRequest, context: Any) -> pb2.Packing:
        """Find gift boxes for a basket."""
        async with _refusing(context):
            packing = await asyncio.to_thread(self._inventory.fit_boxes, _items(request.items))
        log.info("gift boxes found", boxes=packing.boxes, price_cents=packing.price_cents)
        return pb2.Packing(boxes=packing.boxes, price_cents=packing.price_cents)

    async def Check(self, request: pb2.CheckRequest, context: Any) -> pb2.Health:
        """Say that the service is there."""
        return pb2.Health(status="ok")


@asynccontextmanager
async def _refusing(context: Any) -> AsyncIterator[None]:
    """What the inventory refuses, in the words of gRPC."""
    try:
        yield
    except ValidationError as error:
        fields = ", ".join(sorted({str(e["loc"][-1]) for e in error.errors()}))
        await _abort(context, "invalid_request", f"The request is not valid: {fields}.")
    except UnknownProduct as error:
        await _abort(context, "unknown_product", f"There is no product {error}.")
    except OutOfStock as error:
        log.warning("out of stock", products=str(error))
        await _abort(context, "out_of_stock", f"Too few left of {error}.")
    except ReservationCancelled as error:
        await _abort(context, "order_cancelled", f"Order {error} was cancelled.")
    except TooBigToWrap as error:
        await _abort(context, "too_big_to_wrap", f"No gift boxes hold {error}.")
    except ProductBusy as error:
        log.warning("product is busy", product_id=str(error))
        await _abort(context, "product_busy", f"Too many want {error} at this moment.")


async def _abort(context: Any, code: str, detail: str) -> None:
    await context.abort(REFUSALS[code].grpc_status, detail, ((METADATA_KEY, code),))


def _items(items: Iterable[pb2.Item]) -> list[Item]:
    """The items of a request. Raises `ValidationError`."""
    return Basket(items=[Item(product_id=item.product_id, quantity=item.quantity) for item in items]).items
