"""Elasticsearch, one node without security."""

import os
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers.artifacts import Artifact, fetched
from tests.servers.containers import container
from tests.servers.java import java_homes
from tests.servers.missing import ServerMissingError
from tests.servers.processes import Server, answers_http, free_port, running, temporary_folder

URL_VARIABLE = "CLEW_TEST_ELASTICSEARCH_URL"
_GROUP = "org.elasticsearch.distribution.integ-test-zip"
# The newest that the newest Java here can run: 9 wants 21, 8.19 is content with 17.
VERSION_BY_JAVA = {21: "9.2.0", 17: "8.19.5"}
_NOBODY = 65534
_HEALTH = "/_cluster/health?wait_for_status=yellow&timeout=1s"


def artifact_and_java() -> tuple[Artifact, Path]:
    """The distribution that can run here, and the Java to run it with. Raises `ServerMissingError`."""
    for needed, version in VERSION_BY_JAVA.items():
        for found, home in java_homes():
            if found >= needed:
                return Artifact(_GROUP, "elasticsearch", version, "zip"), home
    raise ServerMissingError("Elasticsearch needs Java 17 or newer, which is not installed")


@contextmanager
def start(*, heap_mb: int = 512) -> Iterator[Server]:
    """An empty Elasticsearch, from when it answers. Raises `ServerMissingError`."""
    if given := os.environ.get(URL_VARIABLE):
        yield Server(url=given)
        return
    try:
        artifact, java_home = artifact_and_java()
        archive = fetched(artifact)
    except ServerMissingError as error:
        with container(
            "elasticsearch", port=9200, is_ready=lambda url: answers_http(url + _HEALTH), reason=str(error)
        ) as server:
            yield server
        return
    with _installed(archive, java_home, heap_mb=heap_mb) as installed, installed.running() as pid:
        yield Server(url=installed.url, pid=pid)


@contextmanager
def node(*, settings: str = "") -> Iterator["Node"]:
    """An Elasticsearch that is installed, and does not run yet. Raises `ServerMissingError`."""
    artifact, java_home = artifact_and_java()
    with _installed(fetched(artifact), java_home, heap_mb=512, settings=settings) as installed:
        yield installed


@dataclass(frozen=True)
class Node:
    """An Elasticsearch that can be ended, and started again at the same address with what it holds."""

    url: str
    home: Path
    java_home: Path
    heap_mb: int
    user: int | None

    @contextmanager
    def running(self) -> Iterator[int]:
        """The node, from when it answers; its process ID. Raises `ServerMissingError`."""
        options = f"-Xms{self.heap_mb}m -Xmx{self.heap_mb}m"
        with running(
            [str(self.home / "bin" / "elasticsearch")],
            name="elasticsearch",
            is_ready=answers_http(self.url + _HEALTH),
            folder=self.home.parent,
            env={"ES_JAVA_HOME": str(self.java_home), "ES_JAVA_OPTS": options, "HOME": str(self.home.parent)},
            user=self.user,
        ) as pid:
            yield pid


@contextmanager
def _installed(archive: Path, java_home: Path, *, heap_mb: int, settings: str = "") -> Iterator[Node]:
    # Elasticsearch refuses to run as root; nobody may not look into root's cache, so each run unpacks its own.
    user = _NOBODY if os.geteuid() == 0 else None
    with temporary_folder("elasticsearch", owner=user) as folder:
        home = _unpack(archive, folder)
        port = free_port()
        (home / "config" / "elasticsearch.yml").write_text(
            "discovery.type: single-node\n"
            "xpack.security.enabled: false\n"
            "network.host: 127.0.0.1\n"
            f"http.port: {port}\n"
            f"transport.port: {free_port()}\n"
            "cluster.routing.allocation.disk.threshold_enabled: false\n"
            f"{settings}"
        )
        if user is not None:
            for path in (home, *home.rglob("*")):
                os.chown(path, user, user)
        yield Node(url=f"http://127.0.0.1:{port}", home=home, java_home=java_home, heap_mb=heap_mb, user=user)


def _unpack(archive: Path, folder: Path) -> Path:
    with zipfile.ZipFile(archive) as zipped:
        zipped.extractall(folder)
    [home] = folder.glob("elasticsearch-*")
    for script in (home / "bin").iterdir():
        script.chmod(0o755)
    for native in home.glob("modules/**/bin/*"):
        native.chmod(0o755)
    shutil.rmtree(home / "data", ignore_errors=True)
    return home
