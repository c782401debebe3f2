"""The message broker behind kombu: RabbitMQ or Redis, as the URL says; it may be away for a while."""

# kombu is half typed: what it exports lazily is not seen.
# mypy: disable-error-code="no-untyped-call,attr-defined"
import threading
from collections.abc import Callable
from typing import Any

import structlog
from kombu import Connection, Exchange, Queue
from kombu.exceptions import OperationalError

from clew_demo.messaging.events import EXCHANGE, QUEUES, dead_letter_queue

CONNECT_TIMEOUT_S = 2
CONFIRM_TIMEOUT_S = 5
REDELIVER_AFTER_S = 60
"""Redis only: when a message that a killed consumer held goes to another one. RabbitMQ notices by itself."""

SWEEP_S = 5
"""Redis only: how long a consumer may keep others from looking for such messages, if it is killed while it looks."""

AT_ONCE = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}
"""kombu would sleep for two seconds between its tries, where nobody can wake it to stop."""

RECONNECT_AFTER_S = (0.1, 0.2, 0.5, 1.0)

exchange = Exchange(EXCHANGE, type="topic", durable=True)
log = structlog.get_logger()


def connect(broker_url: str) -> Connection:
    """An open connection to a broker that knows all of the shop's queues. Raises one of `broker_errors`."""
    connection = Connection(broker_url, connect_timeout=CONNECT_TIMEOUT_S, transport_options=_options(broker_url))
    try:
        connection.ensure_connection(reraise_as_library_errors=False, **AT_ONCE)
        _declare_queues(connection)
    except BaseException:
        connection.release()
        raise
    return connection


def broker_errors(broker_url: str) -> tuple[type[BaseException], ...]:
    """What is raised while a broker is away, or goes away."""
    unused = Connection(broker_url)
    return (OperationalError, *unused.connection_errors, *unused.channel_errors)


def keep_connected(broker_url: str, work: Callable[[Connection], None], *, stopping: threading.Event) -> None:
    """Do work that goes on until `stopping`, on a new connection whenever one breaks; one log line an outage."""
    away_errors = broker_errors(broker_url)
    failures = 0

    def work_connected() -> None:
        nonlocal failures
        with connect(broker_url) as connection:
            if failures:
                log.info("message broker is back", attempts=failures)
            failures = 0
            work(connection)

    while not stopping.is_set():
        try:
            work_connected()
        except away_errors as error:
            failures += 1
            if failures == 1:
                log.warning("message broker is away, reconnecting", reason=str(error))
            stopping.wait(RECONNECT_AFTER_S[min(failures, len(RECONNECT_AFTER_S)) - 1])
        except Exception:
            # Such as a database that is locked for too long: nobody else would begin the work again.
            log.exception("messaging broke down, beginning again")
            stopping.wait(RECONNECT_AFTER_S[-1])


def restore_queues(connection: Connection) -> None:
    """Declare the queues again if the broker has forgotten them.

    Redis may come back empty, and its client connects to it again in silence: a message for nobody would be lost.
    """
    find_bindings = getattr(connection.default_channel, "get_table", None)
    if find_bindings is not None and not find_bindings(EXCHANGE):
        _declare_queues(connection)


def _options(broker_url: str) -> dict[str, Any]:
    if broker_url.startswith("amqp"):
        return {**AT_ONCE, "confirm_publish": True}
    return {
        **AT_ONCE,
        "visibility_timeout": REDELIVER_AFTER_S,
        "unacked_mutex_expire": SWEEP_S,
        "socket_timeout": CONFIRM_TIMEOUT_S,
    }


def _declare_queues(connection: Connection) -> None:
    channel = connection.default_channel
    for name, keys in QUEUES.items():
        Queue(dead_letter_queue(name), durable=True)(channel).declare()
        queue = Queue(name, exchange, routing_key=keys[0], durable=True)(channel)
        queue.declare()
        for key in keys[1:]:
            queue.bind_to(exchange, routing_key=key)
