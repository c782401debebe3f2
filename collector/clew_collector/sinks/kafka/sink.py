"""OTLP bodies as messages, by an idempotent producer that waits for all replicas."""

from collections.abc import Iterator, Sequence
from zlib import crc32

from clew_collector.model import Signal
from clew_collector.sinks.base import Outgoing, RefusedRecord
from clew_collector.sinks.connections import Connections
from clew_collector.sinks.kafka.config import KafkaSinkConfig
from clew_collector.sinks.kafka.producing import Message, TopicProducer
from clew_collector.sinks.otlp_bodies import OtlpBody, bodies_of, halves
from clew_collector.wire.otlp.by_trace import split_by_trace


class KafkaSink:
    """Sends each payload as a message, one of spans as a message for each partition that its traces belong to.

    What was acknowledged before another message of its batch failed is not sent again while this object lives. Raises
    `ConfigError` if Kafka's client is not installed or cannot work with the configuration.
    """

    def __init__(self, config: KafkaSinkConfig) -> None:
        self.signals: frozenset[Signal] = frozenset(config.topics)
        self._config = config
        self._producers = {signal: TopicProducer(config, topic) for signal, topic in config.topics.items()}
        self._done: dict[Signal, set[int]] = {signal: set() for signal in config.topics}
        self._connections = Connections()

    @property
    def name(self) -> str:
        """See `Sink.name`."""
        return self._config.name

    def write(self, outgoing: Outgoing) -> Sequence[RefusedRecord]:
        """See `Sink.write`. Refuses only a record that is larger than a message may be."""
        if outgoing.signal not in self.signals:
            return []
        producer, done = self._producers[outgoing.signal], self._done[outgoing.signal]
        partitions = producer.partitions()
        refused: list[RefusedRecord] = []
        messages: list[Message] = []
        for body in bodies_of(outgoing, self._connections):
            for part in self._fitting(outgoing.signal, body, refused):
                messages += (m for m in _messages(outgoing.signal, part, partitions) if body.payload_id not in done)
        done.update(producer.send(messages))
        producer.raise_failure()
        done.difference_update(payload.id for payload in outgoing.payloads)
        return refused

    def close(self) -> None:
        """See `Sink.close`."""
        for producer in self._producers.values():
            producer.close()

    def _fitting(self, signal: Signal, body: OtlpBody, refused: list[RefusedRecord]) -> Iterator[OtlpBody]:
        """A body in parts that fit into a message each; a record that does not is added to `refused`."""
        limit = self._config.max_message_bytes
        if len(body.encoded) <= limit:
            yield body
        elif len(body.positions) > 1:
            for half in halves(signal, body):
                yield from self._fitting(signal, half, refused)
        else:
            reason = f"too large: {len(body.encoded)} bytes, max_message_bytes is {limit}"
            refused += [RefusedRecord(body.payload_id, position, reason) for position in body.positions]


def _messages(signal: Signal, body: OtlpBody, partitions: int) -> Iterator[Message]:
    if signal == "logs":
        yield Message(payload_id=body.payload_id, partition=body.payload_id % partitions, value=body.encoded)
        return
    for partition, encoded in split_by_trace(body.encoded, lambda trace: partition_of(trace, partitions)).items():
        yield Message(payload_id=body.payload_id, partition=partition, value=encoded)


def partition_of(trace_id: bytes, partitions: int) -> int:
    """Where a trace belongs: as librdkafka's `consistent` partitioner says for a key of its ID in hex."""
    return crc32(trace_id.hex().encode()) % partitions
