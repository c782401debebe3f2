"""Topics of a real broker, and receivers that read them in this process."""

import asyncio
import uuid
from collections import Counter as Tally
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from clew_collector.errors import ClewError
from clew_collector.payload import Payload
from clew_collector.receivers.kafka.config import KafkaConfig
from clew_collector.receivers.kafka.receiver import KafkaReceiver
from tests.collector.otlp_builders import a_log, logs

DEADLINE_S = 60.0
ANSWER_S = 20.0


class Topic:
    """A topic with a name of its own; made when asked."""

    def __init__(self, broker: str, *, name: str = "") -> None:
        self.broker = broker
        self.name = name or f"t-{uuid.uuid4().hex[:12]}"
        self._admin = AdminClient({"bootstrap.servers": broker})
        self._producer = Producer({"bootstrap.servers": broker, "linger.ms": 5, "log_level": 2})

    def made(self, *, partitions: int = 1) -> "Topic":
        [done] = self._admin.create_topics([NewTopic(self.name, partitions, 1)]).values()
        done.result(ANSWER_S)
        return self

    def delete(self) -> None:
        [done] = self._admin.delete_topics([self.name]).values()
        done.result(ANSWER_S)

    def delete_before(self, offset: int) -> None:
        [done] = self._admin.delete_records([TopicPartition(self.name, 0, offset)]).values()
        done.result(ANSWER_S)

    def send(self, values: Iterable[bytes], *, partitions: int = 1) -> None:
        """Send messages to the partitions in turn, and wait until the broker has them."""
        failed: list[Any] = []
        for number, value in enumerate(values):
            self._producer.produce(
                self.name, value, partition=number % partitions, on_delivery=lambda error, _: failed.append(error)
            )
        assert self._producer.flush(ANSWER_S) == 0
        assert not any(failed), failed

    def committed(self, group: str) -> int:
        """The offset of the group in partition 0; negative if there is none."""
        asking = Consumer({"bootstrap.servers": self.broker, "group.id": group})
        [found] = asking.committed([TopicPartition(self.name, 0)], timeout=ANSWER_S)
        asking.close()
        return int(found.offset)


class Intake:
    """A receiver with what it handed on and counted; `error` is raised instead of keeping a payload."""

    def __init__(self, topic: Topic, *, checkpoints: Mapping[str, str] | None = None, **settings: Any) -> None:
        settings = {"topics": {"logs": topic.name}, "group_id": topic.name, **settings}
        self.config = KafkaConfig(brokers=(topic.broker,), **settings)
        self.payloads: list[Payload] = []
        self.counts: Tally[tuple[str, str, str]] = Tally()
        self.checkpoints = dict(checkpoints or {})
        self.error: ClewError | None = None
        self.refused = 0
        self.when_kept: Callable[[], None] = lambda: None
        self.receiver = KafkaReceiver(
            self.config, deliver=self._deliver, count=self._count, checkpoints=self.checkpoints
        )

    async def _deliver(self, payload: Payload) -> None:
        if self.error is not None:
            self.refused += 1
            raise self.error
        self.payloads.append(payload)
        self.checkpoints.update(payload.checkpoints)
        self.when_kept()

    def _count(self, counter: tuple[str, str, str], count: int) -> None:
        self.counts[counter] += count

    @property
    def bodies(self) -> list[str]:
        """What the log records say, in the order in which they were kept."""
        return [text for payload in self.payloads for text in bodies_in(payload.body)]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        stopping = asyncio.Event()
        run = asyncio.create_task(self.receiver.run(stopping))
        try:
            yield
        finally:
            stopping.set()
            await run

    def read(self, until: Callable[[], bool]) -> "Intake":
        """Run until the condition holds."""

        async def read() -> None:
            async with self.running():
                await eventually(until)

        asyncio.run(read())
        return self


def bodies_in(body: bytes) -> list[str]:
    request = ExportLogsServiceRequest.FromString(body)
    return [
        log.body.string_value
        for group in request.resource_logs
        for scope in group.scope_logs
        for log in scope.log_records
    ]


def a_message(*texts: str) -> bytes:
    return logs(*map(a_log, texts)).SerializeToString()


async def eventually(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not is_so():  # noqa: ASYNC110  # what is waited for is another process's doing
            await asyncio.sleep(0.02)
