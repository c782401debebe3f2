"""Zipkin, keeping spans in memory."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from tests.servers.artifacts import Artifact, fetched
from tests.servers.containers import container
from tests.servers.java import java_homes
from tests.servers.missing import ServerMissingError
from tests.servers.processes import Server, answers_http, free_port, running, temporary_folder

URL_VARIABLE = "CLEW_TEST_ZIPKIN_URL"
ARTIFACT = Artifact("io.zipkin", "zipkin-server", "3.5.1", "jar", "exec")
_JAVA_NEEDED = 17


@contextmanager
def start(*, port: int = 0, heap_mb: int = 512) -> Iterator[Server]:
    """An empty Zipkin, from when it answers; one of its own if a port is given. Raises `ServerMissingError`."""
    if not port and (given := os.environ.get(URL_VARIABLE)):
        yield Server(url=given)
        return
    try:
        javas = [home for version, home in java_homes() if version >= _JAVA_NEEDED]
        if not javas:
            raise ServerMissingError(f"Zipkin needs Java {_JAVA_NEEDED} or newer, which is not installed")
        jar = fetched(ARTIFACT)
    except ServerMissingError as error:
        with container(
            "zipkin", port=9411, is_ready=lambda url: answers_http(f"{url}/health"), reason=str(error)
        ) as server:
            yield server
        return
    port = port or free_port()
    url = f"http://127.0.0.1:{port}"
    # The oldest Java that will do: it is the one that Zipkin is made and tested with.
    argv = [str(javas[-1] / "bin" / "java"), f"-Xmx{heap_mb}m", "-jar", str(jar), f"--server.port={port}"]
    with (
        temporary_folder("zipkin") as folder,
        running(argv, name="zipkin", is_ready=answers_http(f"{url}/health"), folder=folder) as pid,
    ):
        yield Server(url=url, pid=pid)
