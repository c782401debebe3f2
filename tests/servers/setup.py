"""`python -m tests.servers.setup`: fetch and install what the servers need, as far as this machine lets us.

Says what it does and what it could not do; never fails: tests whose server is missing skip, and in CI they fail.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from tests.servers import (
    chromium,
    elasticsearch,
    kafka,
    logrotate,
    minio,
    node_sdk,
    opensearch,
    rabbitmq,
    rsyslog,
    syslog_ng,
    telemetrygen,
    zipkin,
)
from tests.servers.artifacts import fetched
from tests.servers.containers import engine
from tests.servers.java import java_homes
from tests.servers.missing import ServerMissingError

# For the newest Elasticsearch, with a compiler; Debian 12 offers none of them, and an older Elasticsearch runs on what
# it has.
NEWER_JAVAS = ("openjdk-25-jdk-headless", "openjdk-21-jdk-headless", "temurin-25-jdk", "temurin-21-jdk")
# For OpenSearch, which the newest do not run.
OLDER_JAVAS = ("openjdk-21-jre-headless", "openjdk-17-jre-headless")
# Asked by Debian whether a package may start its service: a Redis of the machine is not what the tests want.
POLICY = Path("/usr/sbin/policy-rc.d")
_APT_TIMEOUT_S = 1200


def main() -> None:
    if any(_missing_packages()):
        _install()
        java_homes.cache_clear()
    if engine() is None:
        _fetch("Elasticsearch", lambda: fetched(elasticsearch.newest().artifact))
        _fetch("Zipkin", lambda: fetched(zipkin.ARTIFACT))
    _fetch("Elasticsearch 8", lambda: fetched(elasticsearch.EIGHT.artifact))
    _fetch("OpenSearch", lambda: fetched(opensearch.DISTRIBUTION.artifact))
    if kafka.URL_VARIABLE not in os.environ:
        _fetch("Kafka", kafka.fetched)
    for daemon in (rsyslog, syslog_ng):
        _fetch(daemon.PACKAGES[0], daemon.fetched)
    _fetch("logrotate", logrotate.find)
    _fetch("telemetrygen", telemetrygen.find)
    if minio.URL_VARIABLE not in os.environ:
        _fetch("MinIO", minio.find)
    _fetch("OpenTelemetry's JavaScript SDK", node_sdk.find)


def _missing_packages() -> Iterator[str]:
    """Debian's packages for what is neither here nor given by the environment."""
    newest_java = max((version for version, _ in java_homes()), default=0)
    if newest_java < elasticsearch.EIGHT.javas.start or (
        _may_install() and newest_java < elasticsearch.NINE.javas.start
    ):
        newer = next(filter(_is_offered, NEWER_JAVAS), None)
        if newer is not None:
            yield newer
        elif newest_java < elasticsearch.EIGHT.javas.start:
            yield "default-jre-headless"
    if opensearch.DISTRIBUTION.java_home() is None:
        yield from islice(filter(_is_offered, OLDER_JAVAS), 1)
    if shutil.which("mvn") is None and not _all_fetched():
        yield "maven"
    if chromium.EXECUTABLE_VARIABLE not in os.environ and not any(map(shutil.which, chromium.NAMES)):
        yield from ("chromium", "fonts-inter", "fonts-jetbrains-mono")
    if "CLEW_TEST_REDIS_URL" not in os.environ and shutil.which("redis-server") is None:
        yield "redis-server"
    if shutil.which("logger") is None:
        yield "bsdutils"
    if rabbitmq.URL_VARIABLE not in os.environ and not any(Path(path).exists() for path in rabbitmq.SCRIPTS):
        yield "rabbitmq-server"


def _all_fetched() -> bool:
    try:
        newest = elasticsearch.newest()
    except ServerMissingError:
        return False
    artifacts = (newest.artifact, elasticsearch.EIGHT.artifact, opensearch.DISTRIBUTION.artifact, zipkin.ARTIFACT)
    return all(artifact.path.exists() for artifact in artifacts) and kafka.JARS.exists()


def _is_offered(package: str) -> bool:
    """Whether apt would install a package of that name; `False` where there is no apt."""
    if shutil.which("apt-cache") is None:
        return False
    return subprocess.run(["apt-cache", "show", package], capture_output=True).returncode == 0


def _install() -> None:
    if not _may_install():
        packages = ", ".join(_missing_packages())
        print(f"missing for some tests: {packages}; install them by your package manager, or run as root", flush=True)
        return
    with _no_service_starts():
        if _apt_get("update"):
            for package in list(_missing_packages()):  # again: what is offered may have changed
                print(f"installing {package}", flush=True)
                _apt_get("install", "-y", "--no-install-recommends", package)


def _may_install() -> bool:
    return shutil.which("apt-get") is not None and os.geteuid() == 0


@contextmanager
def _no_service_starts() -> Iterator[None]:
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()


def _apt_get(*arguments: str) -> bool:
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "-qq", *arguments]
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=_APT_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        print(f"{' '.join(command)} took more than {_APT_TIMEOUT_S} s", flush=True)
        return False
    if done.returncode != 0:
        print(f"{' '.join(command)} failed: {done.stderr.strip()[-500:]}", flush=True)
    return done.returncode == 0


def _fetch(name: str, fetch: Callable[[], object]) -> None:
    try:
        fetch()
    except ServerMissingError as error:
        print(f"{name} cannot be had: {error}", flush=True)


if __name__ == "__main__":
    main()
