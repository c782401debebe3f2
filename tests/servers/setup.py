"""`python -m tests.servers.setup`: fetch and install what the servers need, as far as this machine lets us.

Says what it does and what it could not do; never fails: tests whose server is missing skip, and in CI they fail.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.servers import chromium, elasticsearch, rabbitmq, zipkin
from tests.servers.artifacts import fetched
from tests.servers.containers import engine
from tests.servers.java import java_homes
from tests.servers.missing import ServerMissingError

_APT_TIMEOUT_S = 1200


def main() -> None:
    packages = list(_missing_packages())
    if packages:
        _install(packages)
        java_homes.cache_clear()
    if engine() is None:
        _fetch("Elasticsearch", lambda: fetched(elasticsearch.artifact_and_java()[0]))
        _fetch("Zipkin", lambda: fetched(zipkin.ARTIFACT))


def _missing_packages() -> Iterator[str]:
    """Debian's packages for what is neither here nor given by the environment."""
    if not any(version >= min(elasticsearch.VERSION_BY_JAVA) for version, _ in java_homes()):
        yield "default-jre-headless"
    if shutil.which("mvn") is None and not _all_fetched():
        yield "maven"
    if chromium.EXECUTABLE_VARIABLE not in os.environ and not any(map(shutil.which, chromium.NAMES)):
        yield from ("chromium", "fonts-inter", "fonts-jetbrains-mono")
    if "CLEW_TEST_REDIS_URL" not in os.environ and shutil.which("redis-server") is None:
        yield "redis-server"
    if rabbitmq.URL_VARIABLE not in os.environ and not any(Path(path).exists() for path in rabbitmq.SCRIPTS):
        yield "rabbitmq-server"


def _all_fetched() -> bool:
    try:
        return elasticsearch.artifact_and_java()[0].path.exists() and zipkin.ARTIFACT.path.exists()
    except ServerMissingError:
        return False


def _install(packages: list[str]) -> None:
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        print(f"missing for some tests: {', '.join(packages)}; install them by your package manager, or run as root")
        return
    print(f"installing {', '.join(packages)}", flush=True)
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        [apt, "update", "-qq"],
        [apt, "install", "-y", "-qq", "--no-install-recommends", *packages],
    ):
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=_APT_TIMEOUT_S)
        if done.returncode != 0:
            print(f"{' '.join(command[1:])} failed: {done.stderr.strip()[-500:]}", flush=True)
            return


def _fetch(name: str, fetch: Callable[[], Path]) -> None:
    try:
        fetch()
    except ServerMissingError as error:
        print(f"{name} cannot be had: {error}", flush=True)


if __name__ == "__main__":
    main()
