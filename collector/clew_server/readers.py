"""What is read rather than listened for: files and Kafka's topics. The intake process runs them."""

import asyncio
from collections.abc import Coroutine, Iterator, Mapping
from typing import Any

from clew_collector.config import CollectorConfig
from clew_collector.group_commit import GroupCommit
from clew_collector.receivers.tail import TailReceiver
from clew_server.packages import check_installed


def readers(
    config: CollectorConfig, commits: GroupCommit, *, checkpoints: Mapping[str, str], stopping: asyncio.Event
) -> Iterator[tuple[str, Coroutine[Any, Any, None]]]:
    """Each with a name. `checkpoints` say how far they had read when they ended. Raises `ConfigError`."""
    if config.receivers.tail:
        source = commits.source("tail")
        own = _of("tail", checkpoints)
        tail = TailReceiver(config.receivers.tail, deliver=source.deliver, count=source.count, checkpoints=own)
        yield "tail", tail.run(stopping)
    if config.receivers.kafka:
        check_installed(config)
        from clew_collector.receivers.kafka.receiver import KafkaReceiver
    for number, kafka_config in enumerate(config.receivers.kafka):
        source = commits.source("kafka")
        own = _of("kafka", checkpoints)
        kafka = KafkaReceiver(kafka_config, deliver=source.deliver, count=source.count, checkpoints=own)
        yield f"kafka-{number}", kafka.run(stopping)


def reader_lines(config: CollectorConfig, *, width: int) -> list[str]:
    """What a person is told when the collector starts; `width` is that of the label."""
    files = [f"{'Files':<{width}}{', '.join(tail.paths)}" for tail in config.receivers.tail]
    topics = [
        f"{'Kafka':<{width}}{', '.join(kafka.topics.values())} of {', '.join(kafka.brokers)}"
        for kafka in config.receivers.kafka
    ]
    return files + topics


def _of(receiver: str, checkpoints: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in checkpoints.items() if key.startswith(f"{receiver}:")}
