"""RabbitMQ, a node of its own beside any other on the machine."""

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.missing import ServerMissingError
from tests.servers.processes import Server, free_port, running, temporary_folder

URL_VARIABLE = "CLEW_TEST_RABBITMQ_URL"
# Debian's own command changes to the user rabbitmq, who may not write where the tests want; this is what it calls.
SCRIPTS = ("/usr/lib/rabbitmq/bin/rabbitmq-server",)
_PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"


def greeting(port: int) -> bytes:
    """First bytes of what a broker on 127.0.0.1 says to an AMQP 0-9-1 client."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(_PROTOCOL_HEADER)
        return connection.recv(4096)


@contextmanager
def start() -> Iterator[Server]:
    """An empty broker, from when it greets its clients. Raises `ServerMissingError`."""
    if given := os.environ.get(URL_VARIABLE):
        yield Server(url=given)
        return
    with temporary_folder("rabbitmq") as folder, node(folder, free_port()) as server:
        yield server


@contextmanager
def node(folder: Path, port: int) -> Iterator[Server]:
    """A broker on a port, with what an earlier one has left in the folder. Raises `ServerMissingError`."""
    script = next((path for path in SCRIPTS if Path(path).exists()), shutil.which("rabbitmq-server"))
    if script is None:
        raise ServerMissingError("rabbitmq-server is not installed")

    def is_ready() -> bool:
        try:
            return greeting(port).startswith(b"\x01")
        except OSError:
            return False

    env = {
        "HOME": str(folder),
        "RABBITMQ_NODENAME": f"clew-test-{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "ERL_EPMD_PORT": str(free_port()),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
    }
    # Erlang would start its port mapper as a daemon, which outlives everything; started here it is in the group.
    argv = ["/bin/sh", "-c", 'epmd & exec "$0"', script]
    with running(argv, name="rabbitmq", is_ready=is_ready, folder=folder, env=env) as pid:
        yield Server(url=f"amqp://guest:guest@127.0.0.1:{port}/", pid=pid)
