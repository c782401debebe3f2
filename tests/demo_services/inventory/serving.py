"""The inventory as others meet it: a gRPC server on a free port of this process, or a process of its own."""

import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from clew_demo.faults.switchboard import Switchboard
from clew_demo.inventory import server as inventory_server
from clew_demo.inventory.client import InventoryClient
from clew_demo.inventory.database import Inventory
from clew_demo.inventory.lock import ProductLocks
from clew_demo.inventory.models import Item
from tests.servers.processes import Server, free_port, running

NO_REDIS = "redis://127.0.0.1:9/0"
LIMITED = "machine-lever"


def an_item(product_id: str = "tea-sencha", quantity: int = 1) -> Item:
    return Item(product_id=product_id, quantity=quantity)


@asynccontextmanager
async def serving(
    folder: Path,
    *,
    redis_url: str = NO_REDIS,
    wait_s: float = 5,
    inventory: Inventory | None = None,
) -> AsyncIterator[InventoryClient]:
    """A server in this process, and a client of it."""
    faults = Switchboard(folder)
    inventory = inventory or Inventory(folder / "inventory.db", faults=faults)
    locks = ProductLocks(redis_url, faults=faults, wait_s=wait_s)
    server, port = await inventory_server.start(inventory, locks, port=0)
    client = InventoryClient(f"http://127.0.0.1:{port}", timeout_s=10)
    try:
        yield client
    finally:
        await client.close()
        await server.stop(None)
        await locks.close()
        inventory.close()


@contextmanager
def running_inventory(folder: Path, *, redis_url: str = NO_REDIS) -> Iterator[Server]:
    """`python -m clew_demo.inventory`."""
    port = free_port()
    env = {"CLEW_DEMO_DATA": str(folder), "CLEW_DEMO_REDIS_URL": redis_url}
    argv = [sys.executable, "-m", "clew_demo.inventory", "--port", str(port)]

    def is_ready() -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
        return False

    with running(argv, name="inventory", is_ready=is_ready, folder=folder, env=env) as pid:
        yield Server(url=f"http://127.0.0.1:{port}", pid=pid)
