"""`python -m clew_demo.notifications`: run the notifications service."""

import os
import signal
from random import Random

import clew
from clew_demo.faults.switchboard import Switchboard
from clew_demo.messaging.consumer import Consumer
from clew_demo.messaging.outbox import Relay
from clew_demo.notifications.database import Notifications
from clew_demo.notifications.mails import MailServer
from clew_demo.notifications.notifier import Notifier
from clew_demo.settings import Settings

MAX_ATTEMPTS = 5


def main() -> None:
    """Consume until told to stop."""
    settings = Settings.from_environment(os.environ)
    clew.configure(service="notifications")
    notifications = Notifications(settings.data / "notifications.db")
    mail_server = MailServer(settings.data / "outbox-mails", random=Random())
    notifier = Notifier(notifications, mail_server, Switchboard(settings.data), max_attempts=MAX_ATTEMPTS)
    consumer = Consumer(settings.broker_url, "notifications.requests", notifier.handle, max_attempts=MAX_ATTEMPTS)
    relay = Relay(notifications.database, settings.broker_url)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: consumer.stop())
    relay.start()
    consumer.run()
    relay.stop()
    notifications.close()


if __name__ == "__main__":
    main()
