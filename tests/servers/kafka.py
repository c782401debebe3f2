"""Kafka, one node in KRaft mode, its topics made when they are first used."""

import os
import shutil
import socket
import struct
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.servers.artifacts import CACHE
from tests.servers.java import java_homes
from tests.servers.missing import ServerMissingError
from tests.servers.processes import Server, free_port, running, temporary_folder

URL_VARIABLE = "CLEW_TEST_KAFKA_URL"
VERSION = "3.9.1"
JARS = CACHE / f"kafka-{VERSION}"
_JAVA_NEEDED = 11
_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
_FETCH_TIMEOUT_S = 900
_FORMAT_TIMEOUT_S = 60
_CLUSTER_ID = "Y2xldy10ZXN0LWthZmthMQ"
_HEAP = "-Xmx384m"

_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>clew.tests</groupId>
  <artifactId>kafka</artifactId>
  <version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>{VERSION}</version>
    </dependency>
  </dependencies>
</project>
"""

_PROPERTIES = """process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
log.dirs={folder}/data
auto.create.topics.enable=true
num.partitions=1
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
"""


def fetched() -> Path:
    """The folder with Kafka's jars, fetched if they are not there. Raises `ServerMissingError`."""
    if JARS.exists():
        return JARS
    maven = shutil.which("mvn")
    if maven is None:
        raise ServerMissingError(f"Kafka {VERSION} is fetched with Maven, which is not installed")
    with temporary_folder("kafka-fetch") as folder:
        (folder / "pom.xml").write_text(_POM)
        command = [maven, "-q", "-B", "-f", str(folder / "pom.xml"), _COPY, "-DincludeScope=runtime"]
        command += [f"-DoutputDirectory={folder / 'jars'}", f"-Dmaven.repo.local={CACHE / 'maven'}"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_FETCH_TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            raise ServerMissingError(f"fetching Kafka {VERSION} took more than {_FETCH_TIMEOUT_S} s") from error
        if done.returncode != 0:
            raise ServerMissingError(f"cannot fetch Kafka {VERSION}: {done.stdout.strip()[-300:]}")
        _keep(folder / "jars")
    return JARS


def answers(port: int) -> bool:
    """Whether a broker on 127.0.0.1 answers a request for its metadata."""
    # Request header 1: API key 3 (metadata), version 1, correlation number, client ID; then no topics at all.
    request = struct.pack(">hhih4si", 3, 1, 7, 4, b"clew", 0)
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            answer = connection.recv(4096)
    except OSError:
        return False
    # After size and correlation number: how many brokers there are.
    return len(answer) >= 12 and struct.unpack(">i", answer[8:12])[0] == 1


@dataclass(frozen=True)
class Listener:
    """One more way to a broker; `advertised_port` is what it names to clients, of whatever stands before it."""

    name: str
    protocol: str
    port: int
    advertised_port: int = 0
    settings: Sequence[str] = ()


@contextmanager
def start() -> Iterator[Server]:
    """An empty broker, from when it names itself to its clients; `url` is `host:port`. Raises `ServerMissingError`."""
    if given := os.environ.get(URL_VARIABLE):
        yield Server(url=given)
        return
    with node() as broker, broker.running() as pid:
        yield Server(url=broker.url, pid=pid)


@dataclass(frozen=True)
class Node:
    """A broker that can be ended, and started again at the same address with what it holds."""

    port: int
    folder: Path
    argv: list[str]

    @property
    def url(self) -> str:
        """`host:port` of its plain listener."""
        return f"127.0.0.1:{self.port}"

    @contextmanager
    def running(self) -> Iterator[int]:
        """The broker, from when it names itself to its clients; its process ID. Raises `ServerMissingError`."""
        is_ready = partial(answers, self.port)
        with running(self.argv, name="kafka", is_ready=is_ready, folder=self.folder) as pid:
            yield pid


@contextmanager
def node(*, listeners: Sequence[Listener] = ()) -> Iterator[Node]:
    """A broker that is installed, and does not run yet, with more listeners. Raises `ServerMissingError`."""
    javas = [home for version, home in java_homes() if version >= _JAVA_NEEDED]
    if not javas:
        raise ServerMissingError(f"Kafka needs Java {_JAVA_NEEDED} or newer, which is not installed")
    jars, port = fetched(), free_port()
    with temporary_folder("kafka") as folder:
        settings = folder / "server.properties"
        properties = _PROPERTIES.format(port=port, controller_port=free_port(), folder=folder)
        settings.write_text("\n".join(_with(properties.splitlines(), listeners)))
        # The oldest Java that will do: 3.9 does not run on 24 or newer, which have no security manager.
        java = [str(javas[-1] / "bin" / "java"), _HEAP, "-cp", f"{jars}/*"]
        _format(java, settings)
        yield Node(port=port, folder=folder, argv=[*java, "kafka.Kafka", str(settings)])


def _with(properties: list[str], listeners: Sequence[Listener]) -> list[str]:
    protocols = ",".join(f"{each.name}:{each.protocol}" for each in listeners)
    more = {
        "listeners=": "".join(f",{each.name}://127.0.0.1:{each.port}" for each in listeners),
        "advertised.listeners=": "".join(
            f",{each.name}://127.0.0.1:{each.advertised_port or each.port}" for each in listeners
        ),
    }
    added = [
        f"{line}{''.join(value for key, value in more.items() if line.startswith(key))}" for line in properties
    ] + [setting for each in listeners for setting in each.settings]
    known = "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT"
    return [*added, f"listener.security.protocol.map={known}{',' if protocols else ''}{protocols}", ""]


def _keep(jars: Path) -> None:
    """Put the jars where they stay; at once, so that a folder with half of them never looks like the whole."""
    CACHE.mkdir(parents=True, exist_ok=True)
    partial = CACHE / f"{JARS.name}.{os.getpid()}"
    shutil.copytree(jars, partial)
    try:
        partial.rename(JARS)
    except OSError:  # another test run was faster
        shutil.rmtree(partial)


def _format(java: list[str], settings: Path) -> None:
    command = [*java, "kafka.tools.StorageTool", "format", "-t", _CLUSTER_ID, "-c", str(settings)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_FORMAT_TIMEOUT_S)
    if done.returncode != 0:
        raise ServerMissingError(f"Kafka cannot format its folder: {(done.stdout + done.stderr).strip()[-300:]}")
