"""Brokers for tests, each with empty queues; fixtures are imported where they are used (conftest.py)."""

# kombu is half typed: what it exports lazily is not seen.
# mypy: disable-error-code="no-untyped-call"
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from clew_demo.messaging.broker import connect
from clew_demo.messaging.consumer import Consumer
from clew_demo.messaging.events import QUEUES, Message, dead_letter_queue
from clew_demo.messaging.inbox import Inbox
from clew_demo.messaging.outbox import Outbox, Relay
from clew_demo.sqlite import Database
from tests.servers.processes import free_port, running
from tests.servers.redis import ask
from tests.waiting import wait_until

BROKERS = ("rabbitmq", "redis", "fakeredis")
DATABASE = 5
"""Of the tests' Redis; others use other ones."""


@pytest.fixture(scope="session")
def fakeredis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The shop's own Redis."""
    port = free_port()
    with own_redis(port, folder=tmp_path_factory.mktemp("fakeredis")) as url:
        yield url


@pytest.fixture(params=BROKERS)
def broker_url(request: pytest.FixtureRequest) -> str:
    """Each broker that the shop can use, with empty queues."""
    url = str(request.getfixturevalue(f"{request.param}_url"))
    url = f"{url}/{DATABASE}" if request.param == "redis" else url
    empty(url)
    return url


@contextmanager
def own_redis(port: int, *, folder: Path) -> Iterator[str]:
    def is_ready() -> bool:
        try:
            return ask(port, "PING") == b"+PONG\r\n"
        except OSError:
            return False

    argv = [sys.executable, "-m", "clew_demo.servers.own_redis", "--port", str(port)]
    with running(argv, name="own-redis", is_ready=is_ready, folder=folder):
        yield f"redis://127.0.0.1:{port}/0"


def empty(broker_url: str) -> None:
    with connect(broker_url) as connection:
        for queue in QUEUES:
            for name in (queue, dead_letter_queue(queue)):
                connection.default_channel.queue_purge(name)


def a_database(folder: Path) -> Database:
    """A service's file, with notes of which messages had their effect."""
    notes = "CREATE TABLE IF NOT EXISTS notes (message_id TEXT NOT NULL) STRICT;"
    return Database(folder / "service.db", schema=Outbox.SCHEMA + Inbox.SCHEMA + notes)


@contextmanager
def relaying(database: Database, broker_url: str) -> Iterator[Relay]:
    relay = Relay(database, broker_url)
    relay.start()
    try:
        yield relay
    finally:
        relay.stop()


@contextmanager
def consuming(broker_url: str, queue: str, handle: Callable[[Message], None], **options: Any) -> Iterator[Consumer]:
    consumer = Consumer(broker_url, queue, handle, **options)
    consumer.start()
    try:
        yield consumer
    finally:
        consumer.stop()


def received(broker_url: str, queue: str, *, count: int) -> list[Message]:
    """What comes out of a queue."""
    messages: list[Message] = []
    with consuming(broker_url, queue, messages.append):
        wait_until(lambda: len(messages) >= count, every_s=0.02)
    return messages


def is_empty(database: Database) -> bool:
    """Whether there is nothing left to send."""
    with database.read() as statements:
        return not statements.execute("SELECT 1 FROM outbox")
