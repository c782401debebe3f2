"""A member of a Kafka consumer group that knows by itself how far it has read.

librdkafka (`confluent-kafka`) was measured against `aiokafka`, three rounds on a shared machine. OTLP bodies of 512
log records, 227 KB: 1,279 and 1,480 MB/s (178 in the first round) at 0.3-0.6 CPU-ms a MB, against 461-768 MB/s at
1.1-1.3. Bodies of 8: 214,000-290,000 messages/s against 119,000-142,000. It needs nothing more for zstd and lz4.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

import structlog
from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, TopicPartition

from clew_collector.receivers.kafka.config import KafkaConfig, KafkaSecurity
from clew_collector.receivers.kafka.merging import KafkaMessage, Place
from clew_collector.receivers.kafka.outage import Outage

IDLE_S: Final = 0.25
LINGER_S: Final = 0.02
"""How long more messages are waited for once there is one."""

_MAX_MESSAGES: Final = 1_000
_QUEUE_KB: Final = 8 << 10
_FETCH_BYTES: Final = 4 << 20
_QUEUE_PAUSE_MS: Final = 10
"""How long a full queue is left alone. The default, a second, is what reading then spends most of its time on."""
_ANSWER_S: Final = 10.0
_METADATA_INTERVAL_MS: Final = 5_000
_CRITICAL: Final = 2

log = structlog.get_logger(__name__)

ResumeAt = Callable[[Place], int | None]
"""The offset that was kept with the data, `None` if there is none."""


class GroupReader:
    """Reads the topics of a configuration; for one thread at a time, and rebalances happen while it reads.

    A partition that is given to us is read on from the later of `resume_at`, which is written with the data, and the
    group's own offset: all before either is on a disk, here or at another collector. With neither, from `start_at`.
    Methods raise `KafkaException` when a new reader should be made.
    """

    def __init__(self, config: KafkaConfig, *, resume_at: ResumeAt, outage: Outage) -> None:
        self._config = config
        self._resume_at = resume_at
        self._outage = outage
        self._positions: dict[Place, int] = {}
        self._uncommitted: dict[Place, int] = {}
        self._deleted: Counter[str] = Counter()
        self._consumer = Consumer({**client_settings(config), "error_cb": self._note_error})
        self._consumer.subscribe(
            list(config.topics.values()),
            on_assign=self._assigned,
            on_revoke=self._revoked,
            on_lost=lambda _, partitions: self._forget(partitions),
        )

    def read(self) -> list[KafkaMessage]:
        """The next messages, none if none comes for a moment; tells the group what has been kept since."""
        self._commit(self._uncommitted)
        first = self._consumer.poll(IDLE_S)
        found = [] if first is None else [first, *self._consumer.consume(_MAX_MESSAGES, LINGER_S)]
        if self._outage.is_open:
            self._look_whether_it_is_over()
        return self._taken(found)

    def kept(self, positions: Mapping[Place, int]) -> None:
        """Know that all before these offsets is on disk."""
        ours = {place: offset for place, offset in positions.items() if place in self._positions}
        self._positions.update(ours)
        self._uncommitted.update(ours)

    def read_again(self, after_s: float) -> None:
        """Forget what was read and not kept; waits, still a member of the group, and then goes on from there."""
        self._consumer.pause(self._ours())
        self._consumer.poll(after_s)  # a message of a partition that we are given meanwhile will come again
        ours = self._ours()
        self._consumer.resume(ours)
        for partition in ours:
            self._consumer.seek(partition)

    def take_deleted(self) -> Counter[str]:
        """How many messages of each topic Kafka had deleted before they were read, since this was last asked."""
        deleted, self._deleted = self._deleted, Counter()
        return deleted

    def close(self) -> None:
        """Leave the group, telling it what has been kept; blocks while the broker is away."""
        self._consumer.close()  # takes our partitions from us first

    def _taken(self, found: Iterable[Any]) -> list[KafkaMessage]:
        """What is ours and new: a rebalance may have come between two of them."""
        reached = dict(self._positions)
        messages: list[KafkaMessage] = []
        for message in found:
            place = (message.topic(), message.partition())
            if message.error() is not None:
                self._handle_error(message.error(), place)
            elif place in self._positions and message.offset() >= reached[place]:
                reached[place] = message.offset() + 1
                messages.append(_plain(message, place))
        return messages

    def _assigned(self, consumer: Any, partitions: list[TopicPartition]) -> None:
        begun: dict[Place, int] = {}
        for partition in consumer.committed(partitions, timeout=_ANSWER_S):
            if partition.error is not None:
                raise KafkaException(partition.error)
            place = _place(partition)
            kept = [offset for offset in (self._resume_at(place), partition.offset) if offset is not None]
            if max(kept) == OFFSET_INVALID:
                kept = [begun.setdefault(place, self._first_offset(partition))]
            self._positions[place] = max(kept)
        consumer.incremental_assign([self._at_position(_place(partition)) for partition in partitions])
        # Or whoever is given the partition next would begin at an end that is later than ours.
        self._commit(begun)

    def _revoked(self, _: Any, partitions: list[TopicPartition]) -> None:
        self._commit(self._uncommitted)
        self._forget(partitions)

    def _forget(self, partitions: list[TopicPartition]) -> None:
        for partition in partitions:
            self._positions.pop(_place(partition), None)
            self._uncommitted.pop(_place(partition), None)

    def _first_offset(self, partition: TopicPartition) -> int:
        low, high = self._consumer.get_watermark_offsets(partition, timeout=_ANSWER_S)
        return low if self._config.start_at == "earliest" else high

    def _commit(self, offsets: dict[Place, int]) -> None:
        """Tell the group, without waiting: while the broker is away, an answer is waited for without end.

        The broker handles what comes on a connection in order, so it knows before we give a partition up. That it
        fails costs nothing but that others may read some messages a second time.
        """
        if offsets:
            with suppress(KafkaException):
                self._consumer.commit(offsets=[TopicPartition(*place, offset) for place, offset in offsets.items()])
            offsets.clear()

    def _handle_error(self, error: KafkaError, place: Place) -> None:
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            self._start_over(place)
        elif error.fatal():
            raise KafkaException(error)
        else:
            self._note_error(error)

    def _start_over(self, place: Place) -> None:
        """Go on at the oldest message: ours has been deleted, or the topic is another one than it was."""
        if place not in self._positions:
            return
        low, _ = self._consumer.get_watermark_offsets(TopicPartition(*place), timeout=_ANSWER_S)
        missed = low - self._positions[place]
        what = "kafka deleted messages before they were read" if missed > 0 else "a topic was made anew"
        log.warning(what, topic=place[0], partition=place[1], missed=max(0, missed), going_on_at=low)
        self._deleted[place[0]] += max(0, missed)
        self._positions[place] = low
        self._commit({place: low})
        # Not `seek`, which is for partitions that are being fetched: this one stopped.
        self._consumer.incremental_unassign([TopicPartition(*place)])
        self._consumer.incremental_assign([self._at_position(place)])

    def _note_error(self, error: KafkaError) -> None:
        # Of one broker it says little: there are others, and librdkafka goes on trying.
        if error.code() not in (KafkaError._TRANSPORT, KafkaError._RESOLVE):
            self._outage.began("kafka cannot be read, trying again", error=error.str())

    def _look_whether_it_is_over(self) -> None:
        with suppress(KafkaException):
            topics = [self._consumer.list_topics(topic, IDLE_S).topics[topic] for topic in self._config.topics.values()]
            if all(topic.error is None for topic in topics):
                self._outage.over()

    def _ours(self) -> list[TopicPartition]:
        return [self._at_position(place) for place in self._positions]

    def _at_position(self, place: Place) -> TopicPartition:
        return TopicPartition(*place, self._positions[place])


def _plain(message: Any, place: Place) -> KafkaMessage:
    return KafkaMessage(
        place=place, offset=message.offset(), time_ms=message.timestamp()[1], value=message.value() or b""
    )


def _place(partition: TopicPartition) -> Place:
    return partition.topic, partition.partition


def client_settings(config: KafkaConfig) -> dict[str, Any]:
    """What librdkafka is told, by the names of https://github.com/confluentinc/librdkafka/blob/master/CONFIGURATION.md."""
    settings: dict[str, Any] = {
        "bootstrap.servers": ",".join(config.brokers),
        "client.id": "clew",
        "group.id": config.group_id,
        "session.timeout.ms": int(config.session_timeout_s * 1000),
        "partition.assignment.strategy": "cooperative-sticky",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",
        "allow.auto.create.topics": False,
        "topic.metadata.refresh.interval.ms": _METADATA_INTERVAL_MS,
        "queued.max.messages.kbytes": _QUEUE_KB,
        "fetch.max.bytes": _FETCH_BYTES,
        "fetch.queue.backoff.ms": _QUEUE_PAUSE_MS,
        "log_level": _CRITICAL,
    }
    if config.member is not None:
        settings["group.instance.id"] = config.member
    return settings | (_security_settings(config.security) if config.security else {})


def _security_settings(security: KafkaSecurity) -> dict[str, Any]:
    settings: dict[str, Any] = {"security.protocol": security.protocol}
    if security.password is not None:
        settings["sasl.mechanism"] = security.mechanism
        settings["sasl.username"] = security.user
        settings["sasl.password"] = security.password.get_secret_value()
    for name, path in (("ca", security.ca), ("certificate", security.certificate), ("key", security.key)):
        if path is not None:
            settings[f"ssl.{name}.location"] = str(path)
    return settings
