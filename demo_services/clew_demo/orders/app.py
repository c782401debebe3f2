"""Routes of the orders service, and what it does beside them: tell others, listen to them, tidy up after crashes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, FastAPI, Header, Request

from clew_demo.faults.switchboard import Switchboard
from clew_demo.messaging.consumer import Consumer
from clew_demo.messaging.outbox import Relay
from clew_demo.orders.announcements import REPLIES
from clew_demo.orders.checkout import Checkout
from clew_demo.orders.models import Order, OrderRequest
from clew_demo.orders.news import News
from clew_demo.problems import Problem
from clew_demo.serving import build_app

SETTLE_EVERY_S = 10

log = structlog.get_logger()
router = APIRouter()


def create_app(checkout: Checkout, *, broker_url: str, faults: Switchboard) -> FastAPI:
    """The service on its checkout."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        settling = asyncio.create_task(keep_settling(checkout))
        async with messaging(checkout, broker_url=broker_url, faults=faults):
            yield
        settling.cancel()
        await checkout.close()

    app = build_app("orders", router, lifespan=lifespan)
    app.state.checkout = checkout
    return app


@asynccontextmanager
async def messaging(checkout: Checkout, *, broker_url: str, faults: Switchboard) -> AsyncIterator[None]:
    """Messages are sent and taken inside of this, in threads."""
    loop = asyncio.get_running_loop()

    def undo(order: Order) -> None:
        # Takes the message's request along into the event loop.
        asyncio.run_coroutine_threadsafe(checkout.undo(order), loop)

    news = News(checkout.orders, undo=undo, faults=faults)
    workers = (
        Relay(checkout.orders.database, broker_url),
        Consumer(broker_url, "orders.events", news.take_shipment),
        Consumer(broker_url, REPLIES, news.take_notification),
    )
    for worker in workers:
        worker.start()
    try:
        yield
    finally:
        await asyncio.gather(*(asyncio.to_thread(worker.stop) for worker in workers))


async def keep_settling(checkout: Checkout) -> None:
    """Undo abandoned orders now and then, for as long as the service runs."""
    while True:
        try:
            await checkout.settle_unfinished()
        except Exception:
            log.exception("could not look for abandoned orders")
        await asyncio.sleep(SETTLE_EVERY_S)


async def the_checkout(request: Request) -> Checkout:
    """The checkout that the app was made with."""
    checkout: Checkout = request.app.state.checkout
    return checkout


AtCheckout = Annotated[Checkout, Depends(the_checkout)]


@router.post("/orders", status_code=201)
async def place(
    wanted: OrderRequest, checkout: AtCheckout, idempotency_key: Annotated[str | None, Header()] = None
) -> Order:
    """Place an order. With an `Idempotency-Key`, safe to repeat."""
    return await checkout.place(wanted, idempotency_key=idempotency_key)


@router.get("/orders/{order_id}")
def get_order(order_id: str, checkout: AtCheckout) -> Order:
    """One order."""
    order = checkout.orders.find(order_id)
    if order is None:
        raise Problem(404, "unknown_order", f"There is no order {order_id}.")
    return order
