import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from clew_demo.messaging.events import Message
from clew_demo.messaging.inbox import Inbox
from clew_demo.messaging.outbox import Outbox
from tests.demo_services.messaging.brokers import a_database, consuming, is_empty, own_redis, relaying
from tests.servers.processes import free_port, running, temporary_folder
from tests.servers.rabbitmq import SCRIPTS, greeting
from tests.waiting import wait_until

QUEUE = "shipping.events"


class RestartableRabbitMQ:
    """A node that keeps its data and its port when it is killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}//"
        self._folder = folder
        self._running = ExitStack()
        self._env = {
            "HOME": str(folder),
            "RABBITMQ_NODENAME": f"clew-test-{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "ERL_EPMD_PORT": str(free_port()),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }

    def start(self) -> None:
        argv = ["/bin/sh", "-c", 'epmd & exec "$0"', SCRIPTS[0]]
        self._running.enter_context(
            running(argv, name="rabbitmq", is_ready=self._greets, folder=self._folder, env=self._env)
        )

    def kill(self) -> None:
        self._running.close()

    def _greets(self) -> bool:
        try:
            return greeting(self.port).startswith(b"\x01")
        except OSError:
            return False


@pytest.fixture
def rabbitmq(rabbitmq_url: str) -> Iterator[RestartableRabbitMQ]:
    """Asks for the other one so that this is skipped, or fails, where there is none."""
    if not Path(SCRIPTS[0]).exists():
        pytest.skip("only a RabbitMQ that is installed here can be restarted")
    with temporary_folder("restarted") as folder:
        node = RestartableRabbitMQ(folder)
        node.start()
        try:
            yield node
        finally:
            node.kill()


def test_a_broker_that_is_killed_under_load_loses_nothing_and_nothing_has_two_effects(
    tmp_path: Path, rabbitmq: RestartableRabbitMQ
) -> None:
    database = a_database(tmp_path)
    ended = threading.Event()
    written: list[str] = []

    def write_on() -> None:
        while not ended.wait(0.005):
            with database.write() as statements:
                written.append(Outbox.add(statements, "order.paid", {"n": len(written)}))

    def note(message: Message) -> None:
        with database.write() as statements:
            if Inbox.is_new(statements, message.id):
                statements.execute("INSERT INTO notes VALUES (:id)", {"id": message.id})

    def noted() -> list[str]:
        with database.read() as statements:
            return [row["message_id"] for row in statements.execute("SELECT message_id FROM notes")]

    writer = threading.Thread(target=write_on)
    with capture_logs() as logs, relaying(database, rabbitmq.url), consuming(rabbitmq.url, QUEUE, note):
        writer.start()
        wait_until(lambda: len(noted()) > 20)
        rabbitmq.kill()
        wait_until(lambda: len([log for log in logs if "away" in log["event"]]) == 2)
        rabbitmq.start()
        before = len(noted())
        wait_until(lambda: len(noted()) > before + 100)
        ended.set()
        writer.join()
        wait_until(lambda: is_empty(database) and len(noted()) == len(written))

    assert sorted(noted()) == sorted(written)
    assert outages(logs) == ["away", "away", "back", "back"]


def test_messages_wait_while_there_is_no_broker_and_are_sent_when_it_comes(tmp_path: Path) -> None:
    database = a_database(tmp_path)
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"
    seen: list[Any] = []
    with database.write() as statements:
        Outbox.add(statements, "order.paid", {"order_id": "o-1"})

    with capture_logs() as logs, relaying(database, url), consuming(url, QUEUE, lambda m: seen.append(m.body)):
        wait_until(lambda: len(outages(logs)) == 2)
        with own_redis(port, folder=tmp_path):
            wait_until(lambda: seen == [{"order_id": "o-1"}])
            # One line an outage, however often it was tried.
            assert outages(logs) == ["away", "away", "back", "back"]


def test_a_redis_that_comes_back_empty_is_told_of_the_queues_again(tmp_path: Path) -> None:
    database = a_database(tmp_path)
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"
    seen: list[Any] = []

    def send(order_id: str) -> None:
        with database.write() as statements:
            Outbox.add(statements, "order.paid", {"order_id": order_id})

    def take(message: Message) -> None:
        seen.append(message.body["order_id"])

    with relaying(database, url), consuming(url, QUEUE, take):
        with own_redis(port, folder=tmp_path):
            send("o-1")
            wait_until(lambda: seen == ["o-1"])
        send("o-2")
        with own_redis(port, folder=tmp_path):
            wait_until(lambda: seen == ["o-1", "o-2"])


def outages(logs: list[Any]) -> list[str]:
    """What was logged of the broker, sorted."""
    names = {"message broker is away, reconnecting": "away", "message broker is back": "back"}
    return sorted(names[log["event"]] for log in logs if log["event"] in names)
