# kombu is half typed: what it exports lazily is not seen.
# mypy: disable-error-code="no-untyped-call,attr-defined"
"""The brokers that the shop runs on, each with its queues empty."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from kombu import Queue

from clew_demo.messaging.broker import connect
from clew_demo.messaging.events import QUEUES, Message, dead_letter_queue
from clew_demo.messaging.publishing import read
from tests.servers import redis
from tests.servers.processes import free_port, running

BROKERS = ("rabbitmq", "redis", "fakeredis")


@pytest.fixture(scope="module")
def fakeredis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The shop's own Redis."""
    port, folder = free_port(), tmp_path_factory.mktemp("own-redis")

    def is_ready() -> bool:
        try:
            return redis.ask(port, "PING") == b"+PONG\r\n"
        except OSError:
            return False

    argv = [sys.executable, "-m", "clew_demo.servers.own_redis", "--port", str(port)]
    with running(argv, name="own-redis", is_ready=is_ready, folder=Path(folder)):
        yield f"redis://127.0.0.1:{port}/0"


@pytest.fixture(params=BROKERS)
def broker_url(request: pytest.FixtureRequest) -> str:
    """Each broker in turn."""
    url = str(request.getfixturevalue(f"{request.param}_url"))
    empty(url)
    return url


def empty(broker_url: str) -> None:
    """Forget all messages of earlier tests."""
    with connect(broker_url) as connection:
        for queue in QUEUES:
            for name in (queue, dead_letter_queue(queue)):
                Queue(name)(connection.default_channel).purge()


def received(broker_url: str, queue: str) -> list[tuple[Message, dict[str, str]]]:
    """Take all that is in a queue now, with its headers."""
    with connect(broker_url) as connection:
        bound = Queue(queue)(connection.default_channel)
        deliveries = list(iter(lambda: bound.get(no_ack=True), None))
    return [(read(delivery), delivery.headers) for delivery in deliveries]
