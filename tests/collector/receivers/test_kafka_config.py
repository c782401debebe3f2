"""What is refused before anything starts, and that Kafka's client takes what is not."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from clew_collector.errors import ConfigError
from clew_collector.payload import Payload
from clew_collector.receivers.kafka.config import KafkaConfig
from clew_collector.receivers.kafka.merging import MAX_BYTES, MAX_RECORDS, KafkaMessage, Merging
from clew_collector.receivers.kafka.receiver import KafkaReceiver
from tests.collector.otlp_builders import a_log, logs
from tests.collector.receivers.kafka_topics import bodies_in


def a_config(**settings: Any) -> KafkaConfig:
    return KafkaConfig(brokers=("127.0.0.1:1",), **settings)


async def deliver(_: Payload) -> None:
    raise AssertionError("nothing is read")


def a_receiver(config: KafkaConfig) -> KafkaReceiver:
    return KafkaReceiver(config, deliver=deliver, count=lambda _counter, _count: None, checkpoints={})


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"topics": {"logs": "x", "traces": "x"}}, "topics must differ"),
        ({"topics": {"metrics": "x"}}, "'logs' or 'traces'"),
        ({"topics": {}}, "at least 1 item"),
        ({"encoding": "zipkin_json"}, "for traces only"),
        ({"session_timeout_s": 1}, "greater than or equal to 6"),
        ({"security": {"protocol": "SASL_SSL", "user": "clew"}}, "needs user and password"),
        ({"security": {"protocol": "SSL", "user": "clew", "password": "x"}}, "are for SASL"),
        ({"security": {"protocol": "SSL", "certificate": "c.pem"}}, "come together"),
        ({"security": {"protocol": "SASL_PLAINTEXT", "user": "a", "password": "b", "ca": "c.pem"}}, "are for TLS"),
    ],
)
def test_what_cannot_be_meant_is_refused(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        a_config(**settings)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "SASL_SSL"])
def test_kafkas_client_takes_every_way_to_log_in(protocol: str, mechanism: str) -> None:
    security = {"protocol": protocol, "mechanism": mechanism, "user": "clew", "password": "secret"}

    a_receiver(a_config(security=security, member="clew-0"))


def test_a_certificate_that_is_missing_is_found_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"receivers\.kafka: .*ssl\.ca\.location"):
        a_receiver(a_config(security={"protocol": "SSL", "ca": tmp_path / "ca.pem"}))


def test_a_password_is_not_shown() -> None:
    security = {"protocol": "SASL_SSL", "user": "clew", "password": "geheim"}

    assert "geheim" not in repr(a_config(security=security))


def a_message(offset: int, value: bytes) -> KafkaMessage:
    return KafkaMessage(place=("orders", 0), offset=offset, time_ms=1, value=value)


def test_a_payload_is_bounded_by_bytes_and_by_records() -> None:
    merging = Merging(signals={"orders": "logs"}, encoding="otlp_proto", checkpoint_prefix="kafka:clew:")
    large = logs(a_log("x" * 400_000)).SerializeToString()
    many = logs(*[a_log()] * 2_000).SerializeToString()

    by_bytes = list(merging.merge([a_message(offset, large) for offset in range(6)], now_ns=0))
    by_records = list(merging.merge([a_message(offset, many) for offset in range(9)], now_ns=0))

    assert [len(merged.payload.body) <= MAX_BYTES for merged in by_bytes] == [True] * 3
    assert [merged.payload.records for merged in by_records] == [3 * 2_000] * 3
    assert MAX_RECORDS < 6_000
    assert [merged.positions for merged in by_bytes] == [{("orders", 0): 2}, {("orders", 0): 4}, {("orders", 0): 6}]


def test_bodies_put_together_are_what_they_were() -> None:
    merging = Merging(signals={"orders": "logs"}, encoding="otlp_proto", checkpoint_prefix="kafka:clew:")
    bodies = [logs(a_log(text), service=text).SerializeToString() for text in ("one", "two", "three")]

    [merged] = merging.merge([a_message(offset, body) for offset, body in enumerate(bodies)], now_ns=0)

    assert bodies_in(merged.payload.body) == ["one", "two", "three"]
    assert merged.payload.services == {"one": 1, "two": 1, "three": 1}
    assert merged.payload.checkpoints == {"kafka:clew:orders:0": "3"}
