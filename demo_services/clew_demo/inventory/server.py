"""The gRPC server around the service: a port to listen on, and an end in good order."""

import asyncio
import signal
from typing import Any

import grpc

from clew_demo.inventory.database import Inventory
from clew_demo.inventory.inventory_pb2_grpc import add_InventoryServicer_to_server
from clew_demo.inventory.lock import ProductLocks
from clew_demo.inventory.service import InventoryService
from clew_demo.serving import GRACE_S
from clew_demo.settings import HOST


async def start(inventory: Inventory, locks: ProductLocks, *, port: int) -> tuple[Any, int]:
    """A server that answers, and its port: port 0 takes a free one. Raises `RuntimeError` if it cannot have it."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])  # a port that is taken is an error, as over HTTP
    add_InventoryServicer_to_server(InventoryService(inventory, locks), server)  # type: ignore[no-untyped-call]  # generated code
    bound = server.add_insecure_port(f"{HOST}:{port}")
    await server.start()
    return server, bound


async def serve(inventory: Inventory, locks: ProductLocks, *, port: int) -> None:
    """Serve until SIGTERM or SIGINT; calls under way have `GRACE_S` to finish."""
    told_to_stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told_to_stop.set)
    server, _ = await start(inventory, locks, port=port)
    await told_to_stop.wait()
    await server.stop(GRACE_S)
    await locks.close()
    inventory.close()
