"""The inventory as other services ask it: gRPC below, `Problem` above."""

from collections.abc import Iterable
from typing import Any, Protocol

import grpc

from clew_demo.inventory import inventory_pb2 as pb2
from clew_demo.inventory import inventory_pb2_grpc as pb2_grpc
from clew_demo.inventory.models import Line, Packing, Reservation
from clew_demo.inventory.refusals import METADATA_KEY, REFUSALS
from clew_demo.problems import Problem

CHANNEL_OPTIONS = (
    ("grpc.enable_http_proxy", 0),  # neighbours are not behind the proxy of the outer world
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),  # a service that was restarted is found again soon: gRPC waits 2 minutes
)

FAILURES = {
    grpc.StatusCode.UNAVAILABLE: (503, "inventory_unavailable", "cannot be reached"),
    grpc.StatusCode.DEADLINE_EXCEEDED: (504, "inventory_timeout", "did not answer in time"),
}


class Wanted(Protocol):
    """A product and how many of it, in whatever class the caller has."""

    @property
    def product_id(self) -> str:
        """The product."""

    @property
    def quantity(self) -> int:
        """Units of it, 1 to 100."""


class InventoryClient:
    """The inventory service. clew carries the request's IDs on in every call.

    Raises `Problem` for what the inventory refuses and for what goes wrong on the way. Belongs to the event loop of its
    first call.
    """

    def __init__(self, url: str, *, timeout_s: float) -> None:
        self._target = url.removeprefix("http://")
        self._timeout_s = timeout_s
        self._channel: Any = None
        self._stub: Any = None

    async def reserve(self, order_id: str, items: Iterable[Wanted]) -> Reservation:
        """Set stock aside for an order, all of it or none. Safe to repeat."""
        answer = await self._call("Reserve", pb2.ReserveRequest(order_id=order_id, items=_items(items)))
        lines = [
            Line(product_id=line.product_id, name=line.name, quantity=line.quantity, unit_cents=line.unit_cents)
            for line in answer.lines
        ]
        return Reservation(order_id=answer.order_id, lines=lines, total_cents=answer.total_cents)

    async def release(self, order_id: str) -> int:
        """Put an order's stock back; the units that were. Safe to repeat, and before the reservation has come."""
        return int((await self._call("Release", pb2.ReleaseRequest(order_id=order_id))).units)

    async def stock(self, product_id: str) -> int:
        """Units that can be reserved now."""
        return int((await self._call("Stock", pb2.StockRequest(product_id=product_id))).available)

    async def restock(self) -> int:
        """Take in a delivery; the units that came."""
        return int((await self._call("Restock", pb2.RestockRequest())).units)

    async def fit_boxes(self, items: Iterable[Wanted]) -> Packing:
        """The cheapest gift boxes that hold a basket."""
        answer = await self._call("FitBoxes", pb2.FitBoxesRequest(items=_items(items)))
        return Packing(boxes=list(answer.boxes), price_cents=answer.price_cents)

    async def check(self) -> str:
        """`ok`, when the service can work."""
        return str((await self._call("Check", pb2.CheckRequest())).status)

    async def close(self) -> None:
        """Let go of the connection. Twice is safe."""
        if self._channel is not None:
            await self._channel.close()

    async def _call(self, method: str, request: Any) -> Any:
        if self._channel is None:  # not earlier: a channel belongs to the event loop that runs when it is made
            self._channel = grpc.aio.insecure_channel(self._target, options=CHANNEL_OPTIONS)
            self._stub = pb2_grpc.InventoryStub(self._channel)  # type: ignore[no-untyped-call]  # generated code
        try:
            return await getattr(self._stub, method)(request, timeout=self._timeout_s)
        except grpc.aio.AioRpcError as error:
            raise _problem(error) from error


def _items(items: Iterable[Wanted]) -> list[pb2.Item]:
    return [pb2.Item(product_id=item.product_id, quantity=item.quantity) for item in items]


def _problem(error: Any) -> Problem:
    code = dict(error.trailing_metadata() or ()).get(METADATA_KEY)
    if code in REFUSALS:
        return Problem(REFUSALS[code].http_status, code, error.details())
    failed = (502, "inventory_failed", f"answered {error.code().name}")
    status, code, detail = FAILURES.get(error.code(), failed)
    return Problem(status, code, f"The inventory service {detail}.")
