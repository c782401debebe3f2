"""`python -m clew_demo.inventory`: run the inventory service."""

import asyncio
import os

import clew
from clew_demo import serving
from clew_demo.faults.switchboard import Switchboard
from clew_demo.inventory.database import Inventory
from clew_demo.inventory.lock import ProductLocks
from clew_demo.inventory.server import serve
from clew_demo.settings import PORTS, Settings


def main() -> None:
    """Serve until told to stop."""
    port = serving.parse_port("inventory", default=PORTS["inventory"])
    settings = Settings.from_environment(os.environ)
    clew.configure(service="inventory")
    faults = Switchboard(settings.data)
    inventory = Inventory(settings.data / "inventory.db", faults=faults)
    asyncio.run(serve(inventory, ProductLocks(settings.redis_url, faults=faults), port=port))
    clew.flush()


if __name__ == "__main__":
    main()
