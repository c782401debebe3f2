"""`python -m clew_demo.catalog`: run one of the two instances of the catalog."""

import argparse
import os

import uvicorn

import clew
from clew_demo.catalog.app import create_app
from clew_demo.catalog.cache import Cache
from clew_demo.catalog.database import Products
from clew_demo.catalog.deployment import VERSION, Deployment
from clew_demo.catalog.pages import Catalog
from clew_demo.faults.switchboard import Switchboard
from clew_demo.registry import Heartbeat
from clew_demo.serving import GRACE_S
from clew_demo.settings import HOST, PORTS, Settings
from clew_demo.upstream import Upstream

INSTANCES = ("catalog", "catalog-2")
PRICING_TIMEOUT_S = 0.5


def main() -> None:
    """Serve until told to stop."""
    instance, port = _parse_arguments()
    settings = Settings.from_environment(os.environ)
    clew.configure(
        service="catalog",
        version=VERSION,
        propagators=("tracecontext", "baggage", "b3"),  # pricing knows B3 only
        disabled_instrumentations=("redis",),  # clew_demo.catalog.cache makes spans of its own, that say more
    )
    faults = Switchboard(settings.data)
    catalog = Catalog(
        Products(settings.data / f"{instance}.db", faults=faults),
        Cache(settings.redis_url, faults=faults),
        Upstream("pricing", settings.urls["pricing"], timeout_s=PRICING_TIMEOUT_S),
        faults=faults,
    )
    heartbeat = Heartbeat(settings.redis_url, "catalog", instance, f"http://{HOST}:{port}")
    app = create_app(catalog, Deployment(instance, faults=faults), heartbeat=heartbeat)
    uvicorn.run(app, host=HOST, port=port, access_log=False, log_config=None, timeout_graceful_shutdown=GRACE_S)


def _parse_arguments() -> tuple[str, int]:
    parser = argparse.ArgumentParser(prog="python -m clew_demo.catalog")
    parser.add_argument("--instance", choices=INSTANCES, default=INSTANCES[0], help="name (default: %(default)s)")
    parser.add_argument("--port", type=int, help="port on 127.0.0.1 (default: the instance's own)")
    arguments = parser.parse_args()
    return arguments.instance, arguments.port or PORTS[arguments.instance]


if __name__ == "__main__":
    main()
