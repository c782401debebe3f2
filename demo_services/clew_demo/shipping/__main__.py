"""`python -m clew_demo.shipping`: run the shipping service."""

import os
import signal
from uuid import uuid4

import clew
from clew_demo.faults.switchboard import Switchboard
from clew_demo.messaging.consumer import Consumer
from clew_demo.messaging.outbox import Relay
from clew_demo.settings import Settings
from clew_demo.shipping.choreography import Shipping
from clew_demo.shipping.database import Shipments
from clew_demo.shipping.warehouse import Warehouse

MAX_ATTEMPTS = 20
"""With the waits in between about five minutes: an order that is paid outlasts a warehouse that restarts."""


def main() -> None:
    """Consume until told to stop."""
    settings = Settings.from_environment(os.environ)
    clew.configure(service="shipping")
    faults = Switchboard(settings.data)
    shipments = Shipments(settings.data / "shipping.db")
    warehouse = Warehouse(settings.urls["warehouse"])
    shipping = Shipping(shipments, warehouse, new_tracking=lambda: f"CT-{uuid4().hex[:10].upper()}")
    consumer = Consumer(
        settings.broker_url,
        "shipping.events",
        shipping.handle,
        max_attempts=MAX_ATTEMPTS,
        continues_requests=lambda: not faults.is_on("lost-context"),
    )
    relay = Relay(shipments.database, settings.broker_url)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: consumer.stop())
    relay.start()
    consumer.run()
    relay.stop()
    warehouse.close()
    shipments.close()


if __name__ == "__main__":
    main()
