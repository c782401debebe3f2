"""`python -m clew_demo.inventory`: run the inventory service."""

import os

import clew
from clew_demo import serving
from clew_demo.inventory.app import create_app
from clew_demo.inventory.database import Inventory
from clew_demo.settings import PORTS, Settings


def main() -> None:
    """Serve until told to stop."""
    port = serving.parse_port("inventory", default=PORTS["inventory"])
    settings = Settings.from_environment(os.environ)
    clew.configure(service="inventory")
    serving.run(create_app(Inventory(settings.data / "inventory.db")), port=port)


if __name__ == "__main__":
    main()
