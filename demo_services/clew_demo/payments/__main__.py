"""`python -m clew_demo.payments`: run the payments service."""

import os
from random import Random

import stamina

import clew
from clew_demo import serving
from clew_demo.faults.switchboard import Switchboard
from clew_demo.payments import wsgi
from clew_demo.payments.app import create_app
from clew_demo.payments.books import Books
from clew_demo.payments.cashier import Cashier
from clew_demo.payments.database import Payments
from clew_demo.payments.fraud import FraudCheck
from clew_demo.payments.guarded import GuardedProvider, log_retry
from clew_demo.payments.provider import BadDays, CardProvider
from clew_demo.payments.voiding import Voiding
from clew_demo.settings import PORTS, Settings


def main() -> None:
    """Serve until told to stop."""
    port = serving.parse_port("payments", default=PORTS["payments"])
    settings = Settings.from_environment(os.environ)
    clew.configure(service="payments")
    stamina.instrumentation.set_on_retry_hooks([log_retry])
    payments = Payments(settings.data / "payments.db")
    books = Books(settings.data / "card-providers.db")
    fraud = FraudCheck(settings.urls["fraud"])
    cashier = Cashier(payments, _providers(books, Switchboard(settings.data)), fraud=fraud)
    cashier.recover()
    voiding = Voiding(cashier)
    voiding.start()
    wsgi.serve(create_app(cashier), port=port)
    voiding.stop()
    for each in (fraud, payments, books):
        each.close()
    clew.flush()


def _providers(books: Books, faults: Switchboard) -> list[GuardedProvider]:
    """The one that is cheap and has bad days, and the one that takes over."""
    first = CardProvider(
        "first", books=books, faults=faults, fate=BadDays(Random(), failure_rate=0.02, timeout_rate=0.01)
    )
    second = CardProvider("second", books=books, faults=faults, fate=BadDays(Random()))
    return [GuardedProvider(first), GuardedProvider(second)]


if __name__ == "__main__":
    main()
