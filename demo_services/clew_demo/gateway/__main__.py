"""`python -m clew_demo.gateway`: run the gateway."""

import os

from stamina.instrumentation import set_on_retry_hooks

import clew
from clew_demo import serving
from clew_demo.faults.switchboard import Switchboard
from clew_demo.gateway import neighbours
from clew_demo.gateway.app import create_app
from clew_demo.gateway.database import Views
from clew_demo.gateway.entrance import Entrance
from clew_demo.gateway.neighbours import Neighbours
from clew_demo.gateway.shop import Shop
from clew_demo.gateway.tokens import Tokens
from clew_demo.inventory.client import InventoryClient
from clew_demo.registry import Registry
from clew_demo.resilience.balancing import Balancer, KnownInstance
from clew_demo.resilience.rate_limit import RateLimit
from clew_demo.settings import PORTS, Settings

INVENTORY_TIMEOUT_S = 1.5
CATALOG_INSTANCES = ("catalog", "catalog-2")
RATE_LIMIT = "1500/10 seconds"
"""For each client; the demo's own traffic is one client when it names nobody."""


def main() -> None:
    """Serve until told to stop."""
    port = serving.parse_port("gateway", default=PORTS["gateway"])
    settings = Settings.from_environment(os.environ)
    clew.configure(service="gateway")
    set_on_retry_hooks([])  # `Retrying` logs its retries itself, with the neighbour's name
    balancer = Balancer(
        "catalog",
        Registry(settings.redis_url),
        fallback=[KnownInstance(name, settings.urls[name]) for name in CATALOG_INSTANCES],
    )
    behind = Neighbours(
        catalog=neighbours.catalog(balancer, Switchboard(settings.data)),
        recommendations=neighbours.recommendations(settings.urls["recommendations"]),
        orders=neighbours.orders(settings.urls["orders"]),
        accounts=neighbours.accounts(settings.urls["accounts"]),
        inventory=InventoryClient(settings.urls["inventory"], timeout_s=INVENTORY_TIMEOUT_S),
    )
    shop = Shop(Views(settings.data / "gateway.db"), behind)
    entrance = Entrance(Tokens(behind.accounts), RateLimit(RATE_LIMIT, redis_url=settings.redis_url))
    serving.run(create_app(shop, entrance, jobs=[balancer.keep_fresh]), port=port)


if __name__ == "__main__":
    main()
