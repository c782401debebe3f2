"""Redis, keeping nothing on disk."""

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from tests.servers.missing import ServerMissingError
from tests.servers.processes import Server, free_port, running, temporary_folder

URL_VARIABLE = "CLEW_TEST_REDIS_URL"


def ask(port: int, *words: str) -> bytes:
    """What a Redis on 127.0.0.1 answers to one command, as it is on the wire (RESP)."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        parts = "".join(f"${len(word)}\r\n{word}\r\n" for word in words)
        connection.sendall(f"*{len(words)}\r\n{parts}".encode())
        return connection.recv(4096)


@contextmanager
def start() -> Iterator[Server]:
    """An empty Redis, from when it answers. Raises `ServerMissingError`."""
    if given := os.environ.get(URL_VARIABLE):
        yield Server(url=given)
        return
    executable = shutil.which("redis-server")
    if executable is None:
        raise ServerMissingError("redis-server is not installed")
    port = free_port()
    argv = [executable, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]

    def is_ready() -> bool:
        try:
            return ask(port, "PING") == b"+PONG\r\n"
        except OSError:
            return False

    with (
        temporary_folder("redis") as folder,
        running(argv, name="redis", is_ready=is_ready, folder=folder) as pid,
    ):
        yield Server(url=f"redis://127.0.0.1:{port}", pid=pid)
