"""Nodes of Elasticsearch and OpenSearch: unpacked into a folder of their own, ended, and started again."""

import os
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers.artifacts import Artifact, fetched
from tests.servers.java import java_homes
from tests.servers.missing import ServerMissingError
from tests.servers.processes import answers_http, free_port, running, temporary_folder

HEALTH = "/_cluster/health?wait_for_status=yellow&timeout=1s"
_NOBODY = 65534


@dataclass(frozen=True)
class Distribution:
    """A version of one of the two, and the Javas that run it."""

    artifact: Artifact
    javas: range

    def java_home(self) -> Path | None:
        """The newest Java here that runs it."""
        return next((home for version, home in java_homes() if version in self.javas), None)


@dataclass(frozen=True)
class Node:
    """A node that can be ended, and started again at the same address with what it holds."""

    url: str
    home: Path
    java_home: Path
    heap_mb: int
    user: int | None

    @contextmanager
    def running(self, *, is_ready: Callable[[], bool] | None = None) -> Iterator[int]:
        """The node, from when it answers or `is_ready` says so; its process ID. Raises `ServerMissingError`."""
        name = self.home.name.partition("-")[0]
        with running(
            [str(self.home / "bin" / name)],
            name=name,
            is_ready=is_ready or answers_http(self.url + HEALTH),
            folder=self.home.parent,
            env=self._environment(),
            user=self.user,
        ) as pid:
            yield pid

    def _environment(self) -> Mapping[str, str]:
        options = f"-Xms{self.heap_mb}m -Xmx{self.heap_mb}m"
        java = {name: str(self.java_home) for name in ("ES_JAVA_HOME", "OPENSEARCH_JAVA_HOME")}
        return {**java, "ES_JAVA_OPTS": options, "OPENSEARCH_JAVA_OPTS": options, "HOME": str(self.home.parent)}


@contextmanager
def installed(
    distribution: Distribution,
    *,
    heap_mb: int = 512,
    scheme: str = "http",
    settings: str = "",
    files: Mapping[str, bytes] | None = None,
) -> Iterator[Node]:
    """A node with settings of its own, and files in its folder of configuration; it does not run yet.

    Raises `ServerMissingError`.
    """
    java_home = distribution.java_home()
    artifact, javas = distribution.artifact, distribution.javas
    if java_home is None:
        raise ServerMissingError(f"{artifact.name} {artifact.version} needs Java {javas.start} to {javas.stop - 1}")
    archive = fetched(artifact)
    # Neither runs as root; nobody may not look into root's cache, so each run unpacks its own.
    user = _NOBODY if os.geteuid() == 0 else None
    with temporary_folder(artifact.name, owner=user) as folder:
        home = _unpack(archive, folder)
        port = free_port()
        (home / "config" / f"{artifact.name}.yml").write_text(
            "discovery.type: single-node\n"
            "network.host: 127.0.0.1\n"
            f"http.port: {port}\n"
            f"transport.port: {free_port()}\n"
            "cluster.routing.allocation.disk.threshold_enabled: false\n"
            f"{settings}"
        )
        for name, content in (files or {}).items():
            (home / "config" / name).write_bytes(content)
        if user is not None:
            for path in (home, *home.rglob("*")):
                os.chown(path, user, user)
        yield Node(url=f"{scheme}://127.0.0.1:{port}", home=home, java_home=java_home, heap_mb=heap_mb, user=user)


def _unpack(archive: Path, folder: Path) -> Path:
    with zipfile.ZipFile(archive) as zipped:
        zipped.extractall(folder)
    [home] = (path for path in folder.iterdir() if path.is_dir())
    for script in (home / "bin").iterdir():
        script.chmod(0o755)
    for native in home.glob("modules/**/bin/*"):
        native.chmod(0o755)
    shutil.rmtree(home / "data", ignore_errors=True)
    return home
