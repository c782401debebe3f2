"""`python -m clew_demo.gateway`: run the gateway."""

import os

import clew
from clew_demo import serving
from clew_demo.gateway.app import create_app
from clew_demo.gateway.database import Views
from clew_demo.gateway.shop import Shop
from clew_demo.settings import PORTS, Settings
from clew_demo.upstream import Upstream

ORDERS_TIMEOUT_S = 20
INVENTORY_TIMEOUT_S = 3


def main() -> None:
    """Serve until told to stop."""
    port = serving.parse_port("gateway", default=PORTS["gateway"])
    settings = Settings.from_environment(os.environ)
    clew.configure(service="gateway")
    shop = Shop(
        Views(settings.data / "gateway.db"),
        orders=Upstream("orders", settings.orders_url, timeout_s=ORDERS_TIMEOUT_S),
        inventory=Upstream("inventory", settings.inventory_url, timeout_s=INVENTORY_TIMEOUT_S),
    )
    serving.run(create_app(shop), port=port)


if __name__ == "__main__":
    main()
