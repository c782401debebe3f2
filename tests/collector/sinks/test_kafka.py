"""What the Kafka sink sends is in a real broker's topics once, a trace in one partition, and our receiver reads it."""

import gzip
import random
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from pydantic import ValidationError

from clew_collector.errors import ConfigError
from clew_collector.sinks.base import SinkUnavailable
from clew_collector.sinks.kafka import KafkaSink, KafkaSinkConfig
from clew_collector.sinks.kafka.sink import partition_of
from clew_collector.wire.otlp.by_trace import split_by_trace
from clew_collector.wire.otlp.from_json import parse_json
from tests.collector.otlp_builders import a_log, a_span, logs, traces
from tests.collector.processors.applying import configured
from tests.collector.receivers.kafka_topics import ANSWER_S, Intake, Topic
from tests.collector.sinks.outgoing import outgoing, outgoing_bodies
from tests.collector.sinks.topics import messages_in

DATA = Path(__file__).parents[2] / "data"


@contextmanager
def sink_to(topic: Topic, *, signal: str = "traces", **settings: Any) -> Iterator[KafkaSink]:
    sink = KafkaSink(KafkaSinkConfig(brokers=(topic.broker,), topics={signal: topic.name}, **settings))  # type: ignore[dict-item]
    yield sink
    sink.close()


def spans_in(body: bytes) -> list[Span]:
    request = ExportTraceServiceRequest.FromString(body)
    return [span for group in request.resource_spans for scope in group.scope_spans for span in scope.spans]


def nezha() -> list[bytes]:
    lines = gzip.decompress((DATA / "nezha" / "traces.otlp.jsonl.gz").read_bytes()).splitlines()
    return [parse_json("traces", line).SerializeToString() for line in lines]


def test_real_spans_are_there_once_and_each_trace_in_one_partition(kafka_url: str) -> None:
    topic = Topic(kafka_url).made(partitions=5)
    sent = Counter(span.SerializeToString() for body in nezha() for span in spans_in(body))

    with sink_to(topic) as sink:
        assert sink.write(outgoing_bodies("traces", nezha())) == []

    messages = messages_in(topic)
    partitions: dict[bytes, set[int]] = {}
    for partition, value in messages:
        for span in spans_in(value):
            partitions.setdefault(span.trace_id, set()).add(partition)
    assert Counter(span.SerializeToString() for _, value in messages for span in spans_in(value)) == sent
    assert {len(found) for found in partitions.values()} == {1}
    assert {partition for found in partitions.values() for partition in found} == set(range(5))


def test_our_receiver_reads_it_back(kafka_url: str) -> None:
    topic = Topic(kafka_url).made(partitions=3)

    with sink_to(topic, signal="logs") as sink:
        sink.write(outgoing(*(logs(a_log(str(number))) for number in range(200))))

    intake = Intake(topic)
    intake.read(until=lambda: len(intake.bodies) >= 200)
    assert sorted(map(int, intake.bodies)) == list(range(200))


def test_payloads_of_logs_are_passed_on_byte_by_byte(kafka_url: str) -> None:
    topic = Topic(kafka_url).made(partitions=2)
    bodies = [logs(a_log(str(number))).SerializeToString() for number in range(20)]

    with sink_to(topic, signal="logs") as sink:
        sink.write(outgoing_bodies("logs", bodies))

    assert sorted(value for _, value in messages_in(topic)) == sorted(bodies)


def test_a_trace_goes_where_librdkafkas_consistent_partitioner_puts_its_id(kafka_url: str) -> None:
    topic = Topic(kafka_url).made(partitions=7)
    ids = [f"{random.getrandbits(127) | 1:032x}" for _ in range(30)]
    keyed = Producer({"bootstrap.servers": topic.broker, "partitioner": "consistent"})
    placed: dict[str, int] = {}

    def note(_: Any, message: Any) -> None:
        placed[message.key().decode()] = message.partition()

    for id in ids:
        keyed.produce(topic.name, b"", key=id, on_delivery=note)
    assert keyed.flush(ANSWER_S) == 0

    assert placed == {id: partition_of(bytes.fromhex(id), 7) for id in ids}


def test_what_processors_drop_is_not_sent(kafka_url: str) -> None:
    topic = Topic(kafka_url).made()
    dropping = configured({"type": "drop", "when": {"name": "drop"}})

    with sink_to(topic) as sink:
        sink.write(outgoing(traces(a_span("stay"), a_span("drop")), traces(a_span("drop")), processors=dropping))

    assert [span.name for _, value in messages_in(topic) for span in spans_in(value)] == ["stay"]


def test_a_payload_over_a_messages_size_is_cut_and_a_record_over_it_is_refused(kafka_url: str) -> None:
    topic = Topic(kafka_url).made()
    lines = [a_log(f"{number}" + "x" * 400) for number in range(100)]
    request = logs(*lines[:50], a_log("y" * 20_000), *lines[50:])

    with sink_to(topic, signal="logs", max_message_bytes=10_000) as sink:
        [refused] = sink.write(outgoing(logs(a_log("small")), request, first_id=5))

    assert (refused.payload_id, refused.position) == (6, 50)
    assert refused.reason.startswith("too large: ")
    values = [value for _, value in messages_in(topic)]
    assert max(map(len, values)) <= 10_000
    found = [
        log.body.string_value
        for value in values
        for group in ExportLogsServiceRequest.FromString(value).resource_logs
        for log in group.scope_logs[0].log_records
    ]
    assert found == ["small", *(line.body.string_value for line in lines)]


def test_what_kafka_compresses_away_is_no_reason_to_cut(kafka_url: str) -> None:
    topic = Topic(kafka_url).made()
    request = logs(*(a_log("x" * 800) for _ in range(900)))

    with sink_to(topic, signal="logs") as sink:
        assert sink.write(outgoing(request)) == []

    assert [value for _, value in messages_in(topic)] == [request.SerializeToString()]


def test_a_topic_that_takes_no_message_so_large_is_said_and_nothing_arrives_later(kafka_url: str) -> None:
    topic = Topic(kafka_url).made()
    random_text = "".join(random.choices("0123456789abcdef", k=3_000_000))

    with sink_to(topic, signal="logs", max_message_bytes=8_000_000, compression="none") as sink:
        with pytest.raises(SinkUnavailable, match="too large"):
            sink.write(outgoing(logs(a_log(random_text))))
        assert sink.write(outgoing(logs(a_log("small")), first_id=2)) == []

    assert len(messages_in(topic)) == 1


def test_what_was_acknowledged_is_not_sent_again_with_what_was_not(kafka_url: str) -> None:
    topic = Topic(kafka_url).made()
    large = logs(a_log("".join(random.choices("0123456789abcdef", k=3_000_000))))
    small = [logs(a_log(str(number))) for number in range(5)]

    with sink_to(topic, signal="logs", max_message_bytes=8_000_000, compression="none") as sink:
        sink.write(outgoing(*small))
        with pytest.raises(SinkUnavailable):
            sink.write(outgoing(*small, large, first_id=10))
        sink.write(outgoing(*small, first_id=10))

    values = Counter(value for _, value in messages_in(topic))
    assert set(values) == {request.SerializeToString() for request in small}
    assert set(values.values()) == {2}


def test_cutting_by_trace_changes_nothing_else() -> None:
    request = traces(a_span("a", trace="01" * 16), a_span("b", trace="02" * 16), a_span("c", trace="01" * 16))
    request.resource_spans.extend(traces(a_span("d", trace="02" * 16), service="other", scope="s").resource_spans)
    request.resource_spans[0].schema_url = "r"
    request.resource_spans[0].scope_spans[0].schema_url = "s"
    request.resource_spans[0].scope_spans[0].scope.version = "1"

    cut = {
        share: ExportTraceServiceRequest.FromString(body)
        for share, body in split_by_trace(request.SerializeToString(), lambda trace: trace[0]).items()
    }

    assert [span.name for span in cut[1].resource_spans[0].scope_spans[0].spans] == ["a", "c"]
    assert [group.scope_spans[0].spans[0].name for group in cut[2].resource_spans] == ["b", "d"]
    for part in cut.values():
        [scope] = part.resource_spans[0].scope_spans
        assert (part.resource_spans[0].schema_url, scope.schema_url, scope.scope.version) == ("r", "s", "1")
    assert cut[2].resource_spans[1].resource == request.resource_spans[1].resource


def test_without_its_client_the_way_to_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)

    with pytest.raises(ConfigError, match=r"pip install 'clew\[kafka\]'"):
        KafkaSink(KafkaSinkConfig(brokers=("127.0.0.1:1",)))


@pytest.mark.parametrize(
    "settings",
    [
        {"brokers": []},
        {"topics": {"logs": "a", "traces": "a"}},
        {"topics": {}},
        {"compression": "br"},
        {"security": {"protocol": "SASL_SSL"}},
        {"security": {"protocol": "SSL", "user": "u", "password": "p"}},
        {"security": {"protocol": "SSL", "key": "k"}},
    ],
)
def test_a_wrong_setting_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        KafkaSinkConfig.model_validate({"brokers": ["x:9092"], **settings})
