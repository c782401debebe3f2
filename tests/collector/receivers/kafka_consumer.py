"""Reads a topic into a real spool until it is killed: `python -m tests.collector.receivers.kafka_consumer ...`."""

import asyncio
import sys
from pathlib import Path

from clew_collector.payload import Payload
from clew_collector.receivers.kafka.config import KafkaConfig
from clew_collector.receivers.kafka.receiver import KafkaReceiver
from clew_collector.spool import Spool

GROUP_LAG_S = 0.05
"""Between what is on disk and what the group is told of it, so that kills hit this time."""


async def consume(config: KafkaConfig, spool: Spool) -> None:
    async def deliver(payload: Payload) -> None:
        await asyncio.to_thread(spool.append, [payload])
        await asyncio.sleep(GROUP_LAG_S)

    receiver = KafkaReceiver(
        config, deliver=deliver, count=lambda _counter, _count: None, checkpoints=spool.checkpoints("kafka:")
    )
    await receiver.run(asyncio.Event())


if __name__ == "__main__":
    asyncio.run(consume(KafkaConfig.model_validate_json(sys.argv[1]), Spool(Path(sys.argv[2]))))
