"""The accounts service as a process: its routes, its consumer, and what it says about itself."""

import clew
from clew_demo import serving
from clew_demo.accounts.app import create_app
from clew_demo.accounts.ledger import Ledger
from clew_demo.accounts.news import QUEUE, OrderNews
from clew_demo.accounts.tokens import TokenIssuer
from clew_demo.faults.switchboard import Switchboard
from clew_demo.messaging.consumer import Consumer
from clew_demo.settings import Settings
from clew_demo.usage import usage_log


def serve(settings: Settings, faults: Switchboard, *, port: int) -> None:
    """Serve until told to stop."""
    clew.configure(service="accounts")
    ledger = Ledger(settings.data / "accounts.db")
    tokens = TokenIssuer(settings.data / "accounts.jwk")
    consumer = Consumer(settings.broker_url, QUEUE, OrderNews(ledger).handle)
    serving.run(create_app(ledger, tokens, faults, background=[consumer, usage_log()]), port=port)
