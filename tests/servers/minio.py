"""MinIO, a real server of S3's protocol, with its files in a temporary folder."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.go import built
from tests.servers.processes import Server, answers_http, free_port, running, temporary_folder

URL_VARIABLE = "CLEW_TEST_S3_URL"
KEY = "clew-testing"
"""The name and the password of who may do everything."""
_VERSION = "0.0.0-20260212201848-7aac2a2c5b7c"


def find() -> Path:
    """The program, built if it is not there. Raises `ServerMissingError`."""
    return built("github.com/minio/minio", _VERSION)


@contextmanager
def start() -> Iterator[Server]:
    """A server without buckets, from when it answers. Raises `ServerMissingError`."""
    if given := os.environ.get(URL_VARIABLE):
        yield Server(url=given)
        return
    address, console = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    url = f"http://{address}"
    env = {"MINIO_ROOT_USER": KEY, "MINIO_ROOT_PASSWORD": KEY, "MINIO_UPDATE": "off", "MINIO_BROWSER": "off"}
    with temporary_folder("minio") as folder:
        argv = [
            str(find()),
            "server",
            "--quiet",
            "--address",
            address,
            "--console-address",
            console,
            str(folder / "data"),
        ]
        is_ready = answers_http(f"{url}/minio/health/ready")
        with running(argv, name="minio", is_ready=is_ready, folder=folder, env={**env, "HOME": str(folder)}) as pid:
            yield Server(url=url, pid=pid)
