"""Elasticsearch, one node without security."""

import os
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
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
    with _native(archive, java_home, heap_mb=heap_mb) as server:
        yield server


@contextmanager
def _native(archive: Path, java_home: Path, *, heap_mb: int) -> Iterator[Server]:
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
        )
        if user is not None:
            for path in (home, *home.rglob("*")):
                os.chown(path, user, user)
        env = {"ES_JAVA_HOME": str(java_home), "ES_JAVA_OPTS": f"-Xms{heap_mb}m -Xmx{heap_mb}m", "HOME": str(folder)}
        url = f"http://127.0.0.1:{port}"
        with running(
            [str(home / "bin" / "elasticsearch")],
            name="elasticsearch",
            is_ready=answers_http(url + _HEALTH),
            folder=folder,
            env=env,
            user=user,
        ) as pid:
            yield Server(url=url, pid=pid)


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
