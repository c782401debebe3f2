"""Over TLS and with a password, against a real broker that asks for both: what the sink sends, the receiver reads."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._scram import ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion
from structlog.testing import capture_logs

from clew_collector.sinks.kafka import KafkaSink, KafkaSinkConfig
from tests.collector.certificates import Authority
from tests.collector.otlp_builders import a_log, logs
from tests.collector.receivers.kafka_topics import ANSWER_S, Intake, Topic
from tests.collector.sinks.outgoing import outgoing
from tests.servers import kafka
from tests.servers.kafka import Listener
from tests.servers.processes import free_port

PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"
SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule"
PLAIN_USER, SCRAM_USER = "plain-user", "scram-user"
USERS = {"PLAIN": PLAIN_USER, "SCRAM-SHA-256": SCRAM_USER, "SCRAM-SHA-512": SCRAM_USER}
PASSWORD = "hush, hush"


@dataclass(frozen=True)
class Guarded:
    """A broker: anybody may speak to it at `open_url`, at `url` only over TLS and with a password."""

    open_url: str
    url: str
    authority: Authority

    def topic(self) -> Topic:
        """One that is there, and is to be reached with a password from now on."""
        topic = Topic(self.open_url).made()
        topic.broker = self.url
        return topic

    def security(self, mechanism: str, **more: Any) -> dict[str, Any]:
        ours = {"user": USERS[mechanism], "password": PASSWORD, "ca": self.authority.certificate}
        return {"protocol": "SASL_SSL", "mechanism": mechanism, **ours, **more}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def _guarded(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[list[Guarded]]:
    """Started once it is certain that there is a Kafka to start."""
    started: list[Guarded] = []
    port, folder = free_port(), tmp_path_factory.mktemp("broker")
    listener = Listener("GUARDED", "SASL_SSL", port, settings=_settings(authority, folder))
    with kafka.node(listeners=[listener]) as node, node.running():
        _make_scram_users(node.url)
        started.append(Guarded(open_url=node.url, url=f"127.0.0.1:{port}", authority=authority))
        yield started


@pytest.fixture
def guarded(kafka_url: str, request: pytest.FixtureRequest) -> Guarded:
    """Skips or fails as any test without Kafka."""
    [found] = request.getfixturevalue("_guarded")
    assert isinstance(found, Guarded)
    return found


def _settings(authority: Authority, folder: Path) -> list[str]:
    """It knows one user by them, that for PLAIN."""
    signed, both = authority.sign("broker"), folder / "broker.pem"
    both.write_bytes(signed.key.read_bytes() + signed.certificate.read_bytes())
    at = "listener.name.guarded"
    return [
        f"{at}.ssl.keystore.type=PEM",
        f"{at}.ssl.keystore.location={both}",
        f"{at}.sasl.enabled.mechanisms={','.join(USERS)}",
        f'{at}.plain.sasl.jaas.config={PLAIN} required user_{PLAIN_USER}="{PASSWORD}";',
        f"{at}.scram-sha-256.sasl.jaas.config={SCRAM} required;",
        f"{at}.scram-sha-512.sasl.jaas.config={SCRAM} required;",
    ]


def _make_scram_users(broker: str) -> None:
    admin = AdminClient({"bootstrap.servers": broker})
    for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
        how = ScramCredentialInfo(mechanism, 4096)
        # One user's in a request: the broker refuses two.
        for done in admin.alter_user_scram_credentials(
            [UserScramCredentialUpsertion(SCRAM_USER, how, PASSWORD.encode())]
        ).values():
            done.result(ANSWER_S)


@pytest.mark.parametrize("mechanism", USERS)
def test_what_the_sink_sends_the_receiver_reads(guarded: Guarded, mechanism: str) -> None:
    topic, security = guarded.topic(), guarded.security(mechanism)
    sink = KafkaSink(
        KafkaSinkConfig.model_validate(
            {"brokers": [topic.broker], "topics": {"logs": topic.name}, "security": security}
        )
    )

    assert sink.write(outgoing(*(logs(a_log(str(number))) for number in range(20)))) == []
    sink.close()

    intake = Intake(topic, security=security)
    intake.read(until=lambda: len(intake.bodies) >= 20)
    assert sorted(map(int, intake.bodies)) == list(range(20))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [("password", "uthentication failed"), ("ca", "certificate verify failed")],
    ids=["password", "authority"],
)
def test_a_receiver_that_is_not_let_in_says_why_and_reads_nothing(
    guarded: Guarded, tmp_path: Path, wrong: str, said: str
) -> None:
    values = {"password": "guessed", "ca": Authority(tmp_path, name="stranger").certificate}
    topic = guarded.topic()
    topic.send([logs(a_log("waits")).SerializeToString()])
    intake = Intake(topic, security=guarded.security("SCRAM-SHA-512", **{wrong: values[wrong]}))

    with capture_logs() as lines:
        intake.read(until=lambda: any(said in str(line.get("error")) for line in lines))

    assert intake.payloads == []
    right = Intake(topic, security=guarded.security("SCRAM-SHA-512"))
    assert right.read(until=lambda: bool(right.bodies)).bodies == ["waits"]
