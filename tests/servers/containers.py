"""Servers from the images in docker-compose.yml, where a container engine works."""

import shutil
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import yaml

from tests.servers.missing import ServerMissingError
from tests.servers.processes import READY_TIMEOUT_S, Server, free_port

COMPOSE_FILE = Path(__file__).parents[2] / "docker-compose.yml"
_PROBE_TIMEOUT_S = 10
_PULL_TIMEOUT_S = 900


@cache
def engine() -> str | None:
    """The command of a container engine that works here."""
    for name in ("docker", "podman"):
        command = shutil.which(name)
        if command is None:
            continue
        try:
            told = subprocess.run([command, "info"], capture_output=True, timeout=_PROBE_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            continue
        if told.returncode == 0:
            return command
    return None


@contextmanager
def container(
    service: str, *, port: int, is_ready: Callable[[str], Callable[[], bool]], reason: str
) -> Iterator[Server]:
    """A service of docker-compose.yml in a container, its port on a free one of 127.0.0.1.

    Raises `ServerMissingError` with `reason` if there is no engine, and with the engine's own words if it fails.
    """
    command = engine()
    if command is None:
        raise ServerMissingError(f"{reason}; and no container engine answers")
    settings = yaml.safe_load(COMPOSE_FILE.read_text())["services"][service]
    published, name = free_port(), f"clew-test-{uuid.uuid4().hex[:12]}"
    argv = [command, "run", "--detach", "--rm", "--name", name, "--publish", f"127.0.0.1:{published}:{port}"]
    for key, value in settings.get("environment", {}).items():
        argv += ["--env", f"{key}={value}"]
    started = subprocess.run([*argv, settings["image"]], capture_output=True, text=True, timeout=_PULL_TIMEOUT_S)
    if started.returncode != 0:
        raise ServerMissingError(f"{command} cannot run {settings['image']}: {started.stderr.strip()[-300:]}")
    try:
        url = f"http://127.0.0.1:{published}"
        deadline_s = time.monotonic() + READY_TIMEOUT_S
        while not is_ready(url)():
            if time.monotonic() > deadline_s:
                raise ServerMissingError(f"the container of {service} did not get ready")
            time.sleep(0.2)
        yield Server(url=url)
    finally:
        subprocess.run([command, "rm", "--force", name], capture_output=True, timeout=60)
