"""The real servers of the matrix: those that all tests share, and those of its own that can be ended."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import pytest

from tests.collector.certificates import Authority
from tests.collector.sinks.faults.archive_places import BucketPlace, FolderPlace
from tests.collector.sinks.faults.http_places import ElasticsearchPlace, ZipkinPlace
from tests.collector.sinks.faults.kafka_place import Broker, KafkaPlace, broker
from tests.collector.sinks.faults.otlp_place import OtlpPlace
from tests.collector.sinks.faults.places import Place
from tests.conftest import _give_up
from tests.server.running_clew import RunningClew, clew_up
from tests.servers import elasticsearch, moto, zipkin
from tests.servers.missing import ServerMissingError
from tests.servers.processes import free_port


class Restart:
    """A server that runs, can be ended, and be started again at the same address."""

    def __init__(self, start: Callable[[], AbstractContextManager[Any]], *, forgets: bool = False) -> None:
        self.forgets = forgets
        self._start = start
        self._running = ExitStack()
        self.start()

    def start(self) -> Any:
        """Start it; what its context manager gives."""
        return self._running.enter_context(self._start())

    def stop(self) -> None:
        """End it. Safe to call twice."""
        self._running.close()


class Servers:
    """Servers that the matrix starts when a cell first asks for them, ended at the end of the block."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder)
        self.stranger = Authority(folder, name="stranger")
        self._folder = folder
        self._stack = ExitStack()
        self._clew: RunningClew | None = None
        self._broker: tuple[Broker, Restart] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def place(self, sink: str, request: pytest.FixtureRequest, folder: Path) -> Place:
        """A place of a cell's own, in a server that runs; skips or fails if that cannot be had."""
        match sink:
            case "elasticsearch":
                return ElasticsearchPlace(request.getfixturevalue("elasticsearch_url"), self.authority)
            case "zipkin":
                return ZipkinPlace(request.getfixturevalue("zipkin_url"), self.authority)
            case "otlp_http" | "otlp_grpc":
                return OtlpPlace(self._running_clew(), self.authority, protocol=sink.removeprefix("otlp_"))
            case "kafka":
                return KafkaPlace(self._running_broker()[0])
            case "s3":
                return BucketPlace(request.getfixturevalue("aws_url"), self.authority)
            case _:
                return FolderPlace(folder)

    @contextmanager
    def restarting(self, sink: str) -> Iterator[tuple[Place, Restart]]:
        """A place in a server of its own, and how to end that."""
        with ExitStack() as stack:
            try:
                yield self._restarting(sink, stack)
            except ServerMissingError as error:
                _give_up(sink, error)

    def _restarting(self, sink: str, stack: ExitStack) -> tuple[Place, Restart]:
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        if sink == "kafka":
            broker, restart = self._running_broker()
            return KafkaPlace(broker), restart
        if sink == "elasticsearch":
            node = stack.enter_context(elasticsearch.node())
            restart = Restart(node.running)
            stack.callback(restart.stop)
            return ElasticsearchPlace(node.url, self.authority), restart
        if sink.startswith("otlp"):
            ports = {"--otlp-port": free_port(), "--grpc-port": free_port(), "--port": free_port()}
            named = [word for name, at in ports.items() for word in (name, str(at))]
            restart = Restart(lambda: clew_up(self._folder / sink, *named))
            stack.callback(restart.stop)
            urls = {
                "otlp": f"http://127.0.0.1:{ports['--otlp-port']}",
                "grpc": f"127.0.0.1:{ports['--grpc-port']}",
                "dashboard": f"http://127.0.0.1:{ports['--port']}",
            }
            at = RunningClew(process=None, said="", urls=urls, data=self._folder)  # type: ignore[arg-type]
            return OtlpPlace(at, self.authority, protocol=sink.removeprefix("otlp_")), restart
        server = zipkin if sink == "zipkin" else moto
        restart = Restart(lambda: server.start(port=port), forgets=True)
        stack.callback(restart.stop)
        if sink == "zipkin":
            return ZipkinPlace(url, self.authority), restart
        return BucketPlace(url, self.authority), restart

    def _running_clew(self) -> RunningClew:
        if self._clew is None:
            self._clew = self._stack.enter_context(clew_up(self._folder / "clew"))
        return self._clew

    def _running_broker(self) -> tuple[Broker, Restart]:
        if self._broker is None:
            try:
                found = self._stack.enter_context(broker(self._folder, self.authority))
                restart = Restart(found.node.running)
            except ServerMissingError as error:
                _give_up("Kafka", error)
                raise AssertionError("unreachable") from error
            self._stack.callback(restart.stop)
            self._broker = found, restart
        return self._broker
