"""`python -m clew_demo.orders`: run the orders service."""

import os

import clew
from clew_demo import serving
from clew_demo.faults.switchboard import Switchboard
from clew_demo.inventory.client import InventoryClient
from clew_demo.orders.app import create_app
from clew_demo.orders.checkout import Checkout
from clew_demo.orders.database import Orders
from clew_demo.settings import PORTS, Settings
from clew_demo.upstream import Upstream

INVENTORY_TIMEOUT_S = 10
PAYMENTS_TIMEOUT_S = 3


def main() -> None:
    """Serve until told to stop."""
    port = serving.parse_port("orders", default=PORTS["orders"])
    settings = Settings.from_environment(os.environ)
    clew.configure(service="orders")
    faults = Switchboard(settings.data)
    checkout = Checkout(
        Orders(settings.data / "orders.db"),
        inventory=InventoryClient(settings.urls["inventory"], timeout_s=INVENTORY_TIMEOUT_S),
        payments=Upstream("payments", settings.urls["payments"], timeout_s=PAYMENTS_TIMEOUT_S),
        faults=faults,
    )
    serving.run(create_app(checkout, broker_url=settings.broker_url, faults=faults), port=port)


if __name__ == "__main__":
    main()
