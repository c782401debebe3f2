"""A place in a broker that has listeners for the matrix: behind a line that can be cut, over TLS, with passwords."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from confluent_kafka.admin import (  # type: ignore[attr-defined]  # as its documentation names them
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
)

from clew_collector.model import Signal
from tests.collector.certificates import Authority
from tests.collector.receivers.kafka_topics import ANSWER_S, Topic, bodies_in
from tests.collector.sinks.faults.cutting import CuttingLine, Kafka, cutting_line
from tests.collector.sinks.faults.http_places import a_trace
from tests.collector.sinks.faults.places import LIMIT_BYTES, Line, Settings, Tls, Trouble
from tests.collector.sinks.topics import messages_in
from tests.servers import kafka
from tests.servers.kafka import Listener
from tests.servers.processes import free_port
from tests.waiting import wait_until

_PASSWORD: Final = "right"
_PLAIN: Final = "org.apache.kafka.common.security.plain.PlainLoginModule required"
_MAX_BYTES: Final = "max.message.bytes"


@dataclass(frozen=True)
class Broker:
    """A node, and the ports of its listeners; the line stands before `behind_line`, at `line`."""

    node: kafka.Node
    behind_line: int
    line: int
    by_certificate: dict[Tls, int]
    with_password: int


@contextmanager
def broker(folder: Path, authority: Authority) -> Iterator[Broker]:
    """A broker that does not run yet. Raises `ServerMissingError`."""
    behind_line, line, with_password = free_port(), free_port(), free_port()
    by_certificate = {tls: free_port() for tls in Tls}
    listeners = [
        Listener("LINE", "PLAINTEXT", behind_line, line),
        Listener("SECRET", "SASL_PLAINTEXT", with_password, settings=_password_settings("secret")),
        *(
            Listener(tls.name, "SSL", port, settings=_certificate_settings(tls, authority, folder))
            for tls, port in by_certificate.items()
        ),
    ]
    with kafka.node(listeners=listeners) as node:
        yield Broker(node, behind_line, line, by_certificate, with_password)


def _password_settings(listener: str) -> list[str]:
    at = f"listener.name.{listener}"
    users = f'username="broker" password="{_PASSWORD}" user_broker="{_PASSWORD}" user_clew="{_PASSWORD}";'
    return [f"{at}.sasl.enabled.mechanisms=PLAIN", f"{at}.plain.sasl.jaas.config={_PLAIN} {users}"]


def _certificate_settings(tls: Tls, authority: Authority, folder: Path) -> list[str]:
    signed = tls.signed_by(authority)
    both = folder / f"{tls.name}.pem"
    both.write_bytes(signed.key.read_bytes() + signed.certificate.read_bytes())
    at = f"listener.name.{tls.name.lower()}.ssl.keystore"
    return [f"{at}.type=PEM", f"{at}.location={both}"]


class KafkaPlace:
    """A topic."""

    signal: Signal = "logs"

    def __init__(self, broker: Broker) -> None:
        self.trace = a_trace()
        self._broker = broker
        self._topic = Topic(broker.node.url).made(partitions=3)

    def settings(self) -> Settings:
        """See `Place.settings`."""
        return self._to(self._broker.node.port)

    def line(self, tls: Tls | None = None, *, timeout_s: float = 20) -> tuple[Line, Settings]:
        """See `Place.line`."""
        line = KafkaLine(self._broker, self._topic, is_cut=tls is None)
        port = self._broker.line if tls is None else self._broker.by_certificate[tls]
        # The client gives up by itself after this, and tries again until then.
        return line, {**self._to(port), "timeout_s": max(2, timeout_s)}

    def credentials(self, *, are_right: bool) -> Settings:
        """See `Place.credentials`."""
        security = {"user": "clew", "password": _PASSWORD if are_right else "wrong", "mechanism": "PLAIN"}
        return {
            **self._to(self._broker.with_password),
            "timeout_s": 5,
            "security": {"protocol": "SASL_PLAINTEXT", **security},
        }

    def trusting(self, ca: Path) -> Settings:
        """See `Place.trusting`."""
        return {"security": {"protocol": "SSL", "ca": str(ca)}, "timeout_s": 5}

    def found(self) -> Counter[str]:
        """See `Place.found`: what a reader of the topic gets."""
        return Counter(body for _, value in messages_in(self._topic) for body in bodies_in(value))

    def found_without_repeats(self) -> Counter[str]:
        """What is left for a reader that leaves out what is in its partition already, byte by byte the same."""
        return Counter(body for _, value in set(messages_in(self._topic)) for body in bodies_in(value))

    def _to(self, port: int) -> dict[str, Any]:
        topics = {self.signal: self._topic.name}
        return {"type": "kafka", "brokers": [f"127.0.0.1:{port}"], "topics": topics, "timeout_s": 5}


class KafkaLine:
    """See `Line`: bytes that can be cut or held back; the rest is the broker's own doing."""

    def __init__(self, broker: Broker, topic: Topic, *, is_cut: bool) -> None:
        self._broker = broker
        self._topic = topic
        self._is_cut = is_cut
        self._bytes = CuttingLine()

    def listening(self) -> Any:
        """See `Line.listening`."""
        if not self._is_cut:
            return nullcontext()
        return cutting_line(self._broker.line, self._broker.behind_line, Kafka, line=self._bytes)

    def begin(self, trouble: Trouble) -> None:
        """See `Line.begin`."""
        if trouble is Trouble.SLOW:
            self._bytes.open.clear()
        self._bytes.cuts = 1 if trouble is Trouble.CUT else 0
        if trouble is Trouble.SMALL:
            self._bound(AlterConfigOpType.SET)

    def end(self) -> None:
        """See `Line.end`."""
        self._bytes.open.set()
        self._bound(AlterConfigOpType.DELETE)

    def _bound(self, operation: AlterConfigOpType) -> None:
        entry = ConfigEntry(_MAX_BYTES, str(LIMIT_BYTES), incremental_operation=operation)
        topic = ConfigResource(ConfigResource.Type.TOPIC, self._topic.name, incremental_configs=[entry])
        admin = AdminClient({"bootstrap.servers": self._broker.node.url})
        [done] = admin.incremental_alter_configs([topic]).values()
        done.result(ANSWER_S)
        wait_until(lambda: (self._bound_now(admin) == str(LIMIT_BYTES)) == (operation is AlterConfigOpType.SET))

    def _bound_now(self, admin: AdminClient) -> str:
        [found] = admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, self._topic.name)]).values()
        return str(found.result(ANSWER_S)[_MAX_BYTES].value)
