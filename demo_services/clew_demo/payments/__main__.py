"""`python -m clew_demo.payments`: run the payments service."""

import os
from random import Random

import clew
from clew_demo import serving
from clew_demo.payments.app import create_app
from clew_demo.payments.database import Payments
from clew_demo.payments.provider import CardProvider
from clew_demo.settings import PORTS, Settings


def main() -> None:
    """Serve until told to stop."""
    port = serving.parse_port("payments", default=PORTS["payments"])
    settings = Settings.from_environment(os.environ)
    clew.configure(service="payments")
    payments = Payments(settings.data / "payments.db")
    serving.run(create_app(payments, CardProvider(random=Random())), port=port)


if __name__ == "__main__":
    main()
