"""Servers that come from Maven's repository, kept in the user's cache and never fetched twice."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.servers.missing import ServerMissingError

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "clew-test-servers"
_GET = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:get"
_FETCH_TIMEOUT_S = 900


@dataclass(frozen=True)
class Artifact:
    """A file in Maven's repository."""

    group: str
    name: str
    version: str
    packaging: str
    classifier: str = ""

    @property
    def path(self) -> Path:
        """Where it is once it has been fetched."""
        suffix = f"-{self.classifier}" if self.classifier else ""
        folder = CACHE / "maven" / self.group.replace(".", "/") / self.name / self.version
        return folder / f"{self.name}-{self.version}{suffix}.{self.packaging}"

    @property
    def coordinates(self) -> str:
        """Its name as Maven writes it."""
        parts = [self.group, self.name, self.version, self.packaging, self.classifier]
        return ":".join(filter(None, parts))


def fetched(artifact: Artifact) -> Path:
    """The file of an artifact, fetched if it is not there. Raises `ServerMissingError`."""
    if artifact.path.exists():
        return artifact.path
    maven = shutil.which("mvn")
    if maven is None:
        raise ServerMissingError(f"{artifact.name} {artifact.version} is fetched with Maven, which is not installed")
    command = [maven, "-q", "-B", _GET, f"-Dartifact={artifact.coordinates}", "-Dtransitive=false"]
    command.append(f"-Dmaven.repo.local={CACHE / 'maven'}")
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_FETCH_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise ServerMissingError(f"fetching {artifact.coordinates} took more than {_FETCH_TIMEOUT_S} s") from error
    if done.returncode != 0 or not artifact.path.exists():
        raise ServerMissingError(f"cannot fetch {artifact.coordinates}: {done.stdout.strip()[-300:]}")
    return artifact.path
