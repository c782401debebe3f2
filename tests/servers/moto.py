"""Amazon's services as moto imitates them, in memory."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.missing import ServerMissingError
from tests.servers.processes import Server, answers_http, free_port, running, temporary_folder

URL_VARIABLE = "CLEW_TEST_AWS_URL"


@contextmanager
def start(*, port: int = 0) -> Iterator[Server]:
    """A server without queues and topics, from when it answers; one of its own if a port is given.

    Raises `ServerMissingError`.
    """
    if not port and (given := os.environ.get(URL_VARIABLE)):
        yield Server(url=given)
        return
    beside_python = Path(sys.executable).with_name("moto_server")
    executable = str(beside_python) if beside_python.exists() else shutil.which("moto_server")
    if executable is None:
        raise ServerMissingError("moto_server is not installed")
    url = f"http://127.0.0.1:{(port := port or free_port())}"
    argv = [executable, "-H", "127.0.0.1", "-p", str(port)]
    is_ready = answers_http(f"{url}/moto-api/data.json")
    with (
        temporary_folder("moto") as folder,
        running(argv, name="moto", is_ready=is_ready, folder=folder) as pid,
    ):
        yield Server(url=url, pid=pid)
