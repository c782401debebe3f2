import asyncio
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from clew_collector.errors import ClewError, SpoolFull, StoreUnavailable
from clew_collector.receivers.kafka.config import KafkaConfig
from clew_collector.spool import Spool
from clew_collector.wire.zipkin.proto3 import ListOfSpans
from tests.chance import seeded_chance
from tests.collector.otlp_builders import a_span, traces
from tests.collector.receivers.kafka_topics import DEADLINE_S, Intake, Topic, a_message, bodies_in, eventually
from tests.collector.zipkin_builders import a_span as a_zipkin_span
from tests.collector.zipkin_builders import body_of

ROOT = Path(__file__).parents[3]


def numbered(count: int, *, start: int = 0) -> list[bytes]:
    return [a_message(str(number)) for number in range(start, start + count)]


def texts(count: int, *, start: int = 0) -> list[str]:
    return [str(number) for number in range(start, start + count)]


def test_many_small_messages_become_few_payloads_in_their_order(kafka_url: str) -> None:
    topic = Topic(kafka_url).made()
    topic.send(numbered(4_000))

    intake = Intake(topic)
    intake.read(until=lambda: len(intake.bodies) >= 4_000)

    assert intake.bodies == texts(4_000)
    assert len(intake.payloads) <= 40
    assert sum(payload.records for payload in intake.payloads) == 4_000
    assert intake.payloads[0].services == {"inventory": intake.payloads[0].records}
    assert intake.checkpoints == {f"kafka:{topic.name}:{topic.name}:0": "4000"}
    assert intake.counts == {}


def test_equal_messages_are_all_kept(kafka_url: str, tmp_path: Path) -> None:
    topic = Topic(kafka_url).made()
    spool = Spool(tmp_path / "spool")
    intake = Intake(topic)

    for number in range(1, 4):
        topic.send([a_message("same")])
        intake.read(until=lambda number=number: len(intake.bodies) == number)  # type: ignore[misc]

    assert spool.append(intake.payloads) == [True, True, True]


def test_each_signal_is_read_from_its_topic(kafka_url: str) -> None:
    log_topic, span_topic = Topic(kafka_url).made(), Topic(kafka_url).made()
    log_topic.send([a_message("one")])
    span_topic.send([traces(a_span("GET /stock")).SerializeToString()])

    intake = Intake(log_topic, topics={"logs": log_topic.name, "traces": span_topic.name})
    intake.read(until=lambda: len(intake.payloads) == 2)

    assert sorted((payload.signal, payload.records) for payload in intake.payloads) == [("logs", 1), ("traces", 1)]


@pytest.mark.parametrize("encoding", ["otlp_json", "zipkin_json", "zipkin_proto"])
def test_other_encodings_become_otlp(kafka_url: str, encoding: str) -> None:
    zipkin: Any = ListOfSpans()
    zipkin.spans.add(trace_id=b"12345678", id=b"12345678", name="get /stock")
    body = {
        "otlp_json": b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"get /stock"}]}]}]}',
        "zipkin_json": body_of(a_zipkin_span(name="get /stock")),
        "zipkin_proto": zipkin.SerializeToString(),
    }[encoding]
    topic = Topic(kafka_url).made()
    topic.send([body, body])

    intake = Intake(topic, topics={"traces": topic.name}, encoding=encoding)
    intake.read(until=lambda: sum(payload.records for payload in intake.payloads) == 2)

    requests = [ExportTraceServiceRequest.FromString(payload.body) for payload in intake.payloads]
    assert {group.scope_spans[0].spans[0].name for each in requests for group in each.resource_spans} == {"get /stock"}


def test_what_cannot_be_read_is_counted_and_skipped(kafka_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    topic = Topic(kafka_url).made()
    topic.send([b"\xff poison", a_message("one"), b"{}", b"", a_message("two"), b"\xff"])

    intake = Intake(topic)
    intake.read(until=lambda: intake.counts.total() == 3)

    assert intake.bodies == ["one", "two"]
    assert intake.counts == {("refused", "logs", "bad payload"): 3}
    assert list(intake.checkpoints.values()) == ["6"]
    assert capsys.readouterr().out.count("cannot be read, skipped") == 1


@pytest.mark.parametrize("error", [SpoolFull("full"), StoreUnavailable("disk full")])
def test_while_nothing_can_be_kept_messages_wait_in_kafka(
    kafka_url: str, error: ClewError, capsys: pytest.CaptureFixture[str]
) -> None:
    topic = Topic(kafka_url).made(partitions=2)
    topic.send(numbered(3_000), partitions=2)
    intake = Intake(topic)
    intake.error = error

    def is_all_here() -> bool:
        if intake.refused >= 2:
            intake.error = None
        return len(intake.bodies) >= 3_000

    intake.read(until=is_all_here)

    assert sorted(intake.bodies, key=int) == texts(3_000)
    assert intake.counts == {}
    assert capsys.readouterr().out.count("nothing more can be kept") == 1


def test_the_group_is_told_what_was_kept(kafka_url: str) -> None:
    topic = Topic(kafka_url).made()
    topic.send(numbered(10))

    intake = Intake(topic)
    intake.read(until=lambda: len(intake.bodies) == 10)

    assert topic.committed(intake.config.group_id) == 10


def test_the_later_of_checkpoint_and_group_says_where_to_go_on(kafka_url: str) -> None:
    topic = Topic(kafka_url).made()
    topic.send(numbered(10))
    Intake(topic).read(until=lambda: topic.committed(topic.name) == 10)
    topic.send(numbered(10, start=10))
    key = f"kafka:{topic.name}:{topic.name}:0"

    behind = Intake(topic, checkpoints={key: "4"})
    behind.read(until=lambda: len(behind.bodies) == 10)
    topic.send(numbered(10, start=20))
    ahead = Intake(topic, checkpoints={key: "25"})
    ahead.read(until=lambda: len(ahead.bodies) == 5)

    assert behind.bodies == texts(10, start=10)
    assert ahead.bodies == texts(5, start=25)


def test_a_new_group_may_begin_at_the_end_and_misses_nothing_from_then_on(kafka_url: str) -> None:
    topic = Topic(kafka_url).made()
    topic.send(numbered(5))
    Intake(topic, start_at="latest").read(until=lambda: topic.committed(topic.name) == 5)
    topic.send(numbered(5, start=5))

    second = Intake(topic, start_at="latest")
    second.read(until=lambda: len(second.bodies) == 5)

    assert second.bodies == texts(5, start=5)


def test_messages_that_kafka_deleted_before_they_were_read_are_counted(kafka_url: str) -> None:
    topic = Topic(kafka_url).made()
    topic.send(numbered(10))
    first = Intake(topic)
    first.read(until=lambda: len(first.bodies) == 10)
    topic.send(numbered(10, start=10))
    topic.delete_before(15)

    second = Intake(topic, checkpoints=first.checkpoints)
    second.read(until=lambda: len(second.bodies) == 5)

    assert second.bodies == texts(5, start=15)
    assert second.counts == {("dropped", "logs", "deleted by Kafka before it was read"): 5}


def test_a_topic_that_was_made_anew_is_read_from_its_beginning(kafka_url: str) -> None:
    topic = Topic(kafka_url).made()
    topic.send(numbered(10))
    first = Intake(topic)
    first.read(until=lambda: len(first.bodies) == 10)
    topic.delete()
    again = Topic(kafka_url, name=topic.name)
    again.send(numbered(3, start=100))

    second = Intake(again, checkpoints=first.checkpoints)
    second.read(until=lambda: len(second.bodies) == 3)

    assert second.bodies == texts(3, start=100)
    assert list(second.checkpoints.values()) == ["3"]


def test_a_topic_that_is_missing_is_waited_for(kafka_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    topic = Topic(kafka_url)
    intake = Intake(topic)
    said: list[str] = []

    def is_here() -> bool:
        said.append(capsys.readouterr().out)
        if sum("cannot be read" in text for text in said) == 1 and not made:
            made.append(topic.made())
            topic.send(numbered(3))
        return len(intake.bodies) == 3

    made: list[Topic] = []
    intake.read(until=is_here)

    said.append(capsys.readouterr().out)
    assert "".join(said).count("kafka cannot be read") == 1
    assert "kafka is back" in "".join(said)


def test_two_collectors_share_a_topic_and_take_over_without_loss_or_doubles(kafka_url: str) -> None:
    topic = Topic(kafka_url).made(partitions=4)
    one, two = Intake(topic), Intake(topic)

    def kept() -> int:
        return len(one.bodies) + len(two.bodies)

    async def come_and_go() -> None:
        async with one.running():
            topic.send(numbered(1_000), partitions=4)
            await eventually(lambda: kept() >= 1_000)
            async with two.running():
                sent = 1_000
                while not two.bodies:
                    topic.send(numbered(400, start=sent), partitions=4)
                    sent += 400
                    await eventually(lambda: kept() >= sent)  # noqa: B023  # waited for at once
            topic.send(numbered(1_000, start=sent), partitions=4)
            await eventually(lambda: kept() >= sent + 1_000)
            total.append(sent + 1_000)

    total: list[int] = []
    asyncio.run(come_and_go())

    assert sorted([*one.bodies, *two.bodies], key=int) == texts(total[0])


def test_killed_again_and_again_every_message_is_in_the_spool_exactly_once(kafka_url: str, tmp_path: Path) -> None:
    topic = Topic(kafka_url).made(partitions=3)
    config = KafkaConfig(brokers=(kafka_url,), topics={"logs": topic.name}, group_id=topic.name, member="the-only-one")
    chance = seeded_chance()
    messages, over, kills = 30_000, threading.Event(), 0

    def send() -> None:
        for start in range(0, messages, 300):
            topic.send(numbered(300, start=start), partitions=3)
            over.wait(chance.uniform(0, 0.15))

    sending = threading.Thread(target=send)
    sending.start()
    spool = Spool(tmp_path / "spool")
    deadline_s = time.monotonic() + 2 * DEADLINE_S
    while sum_of_records(spool) < messages:
        assert time.monotonic() < deadline_s, f"{sum_of_records(spool)} after {kills} kills"
        consumer, payloads = start_consumer(config, tmp_path / "spool"), spool.depth().payloads
        while spool.depth().payloads < payloads + chance.randint(1, 6) and time.monotonic() < deadline_s:
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.05))
        consumer.kill()
        consumer.wait()
        kills += 1
    over.set()
    sending.join()

    spooled = spool.take("logs", after_id=-1, max_records=1 << 30, max_bytes=1 << 40)
    kept = [text for each in spooled for text in bodies_in(each.body)]
    assert kills >= 4
    assert len(kept) == len(set(kept)), "some are there twice"
    assert sorted(kept, key=int) == texts(messages)


def start_consumer(config: KafkaConfig, spool: Path) -> "subprocess.Popen[bytes]":
    argv = [sys.executable, "-m", "tests.collector.receivers.kafka_consumer", config.model_dump_json(), str(spool)]
    return subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.DEVNULL)


def sum_of_records(spool: Spool) -> int:
    return sum(each.records for each in spool.take("logs", after_id=-1, max_records=1 << 30, max_bytes=1 << 40))
