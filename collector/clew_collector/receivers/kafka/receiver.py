"""Reads topics into the spool.

How far a partition is read is written in the same transaction as what was read: kill -9 loses nothing and doubles
nothing. The group is told afterwards, for tools that watch its lag and for other collectors that take over.
"""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeVar

import structlog
from confluent_kafka import Consumer, KafkaException

from clew_collector.errors import ConfigError, SpoolFull, StoreUnavailable
from clew_collector.payload import Payload
from clew_collector.receivers.kafka.config import KafkaConfig
from clew_collector.receivers.kafka.merging import Merged, Merging, Place, checkpoint_key, checkpoint_prefix
from clew_collector.receivers.kafka.outage import Outage
from clew_collector.receivers.kafka.reader import GroupReader, client_settings

_FIRST_RETRY_S: Final = 0.5
_LAST_RETRY_S: Final = 10.0
_CLOSE_S: Final = 3.0

log = structlog.get_logger(__name__)

Deliver = Callable[[Payload], Awaitable[object]]
"""Returns when the payload is on disk, or raises `SpoolFull` or `StoreUnavailable`."""

Count = Callable[[tuple[str, str, str], int], None]
"""Adds to the counter of an outcome, a signal and a reason; does not block."""

Result = TypeVar("Result")


class KafkaReceiver:
    """Hands what topics hold to `deliver`, many messages in one payload.

    `checkpoints` are those that were stored, of keys that begin with `kafka:`. Raises `ConfigError` if the client
    cannot work with the configuration.
    """

    def __init__(self, config: KafkaConfig, *, deliver: Deliver, count: Count, checkpoints: Mapping[str, str]) -> None:
        self._config = config
        self._deliver = deliver
        self._count = count
        self._prefix = checkpoint_prefix(config.group_id)
        self._checkpoints = dict(checkpoints)
        self._signals = {topic: signal for signal, topic in config.topics.items()}
        self._merging = Merging(signals=self._signals, encoding=config.encoding, checkpoint_prefix=self._prefix)
        brokers = ",".join(config.brokers)
        self._brokers = Outage("kafka is back", brokers=brokers)
        self._disk = Outage("kafka is read again", brokers=brokers)
        self._messages = Outage("kafka has messages that can be read again", brokers=brokers)
        try:
            Consumer(client_settings(config)).close()
        except KafkaException as error:
            raise ConfigError(f"receivers.kafka: {error.args[0].str()}") from error

    async def run(self, stopping: asyncio.Event) -> None:
        """Read until `stopping` is set; whatever is away is tried again."""
        retry_s = _FIRST_RETRY_S
        with ThreadPoolExecutor(1, thread_name_prefix="kafka") as self._thread:
            while not stopping.is_set():
                started_s = time.monotonic()
                try:
                    await self._read(stopping)
                except KafkaException as error:
                    self._brokers.began("kafka cannot be read, trying again", error=str(error))
                except Exception:
                    log.exception("kafka cannot be read, trying again")
                if time.monotonic() - started_s > _LAST_RETRY_S:
                    retry_s = _FIRST_RETRY_S
                with suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), retry_s)
                retry_s = min(2 * retry_s, _LAST_RETRY_S)

    async def _read(self, stopping: asyncio.Event) -> None:
        """Be a member of the group, until told to stop or until that fails."""
        reader = await self._in_thread(self._new_reader)
        retry_s = _FIRST_RETRY_S
        try:
            while not stopping.is_set():
                batch = await self._in_thread(self._next_batch, reader)
                self._count_deleted(reader.take_deleted())
                try:
                    await self._keep(batch, reader)
                except (SpoolFull, StoreUnavailable) as error:
                    self._disk.began("kafka waits: nothing more can be kept", error=str(error))
                    await self._in_thread(reader.read_again, retry_s)
                    retry_s = min(2 * retry_s, _LAST_RETRY_S)
                else:
                    retry_s = _FIRST_RETRY_S
        finally:
            await _close(reader)

    def _new_reader(self) -> GroupReader:
        return GroupReader(self._config, resume_at=self._resume_at, outage=self._brokers)

    def _next_batch(self, reader: GroupReader) -> list[Merged]:
        return list(self._merging.merge(reader.read(), now_ns=time.time_ns()))

    async def _keep(self, batch: list[Merged], reader: GroupReader) -> None:
        """Deliver one after the other: a payload's checkpoint says that all before it is on disk, too."""
        for merged in batch:
            await self._deliver(merged.payload)
            self._checkpoints.update(merged.payload.checkpoints)
            reader.kept(merged.positions)
            self._disk.over()
            self._note_refused(merged)

    def _resume_at(self, place: Place) -> int | None:
        kept = self._checkpoints.get(checkpoint_key(self._prefix, place))
        return None if kept is None else int(kept)

    def _note_refused(self, merged: Merged) -> None:
        if merged.refused:
            self._count(("refused", merged.payload.signal, "bad payload"), merged.refused)
            self._messages.began("kafka has messages that cannot be read, skipped", error=merged.reason)
        elif merged.payload.records:
            self._messages.over()

    def _count_deleted(self, deleted: Counter[str]) -> None:
        for topic, messages in deleted.items():
            self._count(("dropped", self._signals[topic], "deleted by Kafka before it was read"), messages)

    async def _in_thread(self, function: Callable[..., Result], *args: Any) -> Result:
        """Everything that Kafka's client does happens in one thread, one thing after the other."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, partial(function, *args))


async def _close(reader: GroupReader) -> None:
    """Leave the group if the broker answers soon; if not, it finds out by itself, and nobody waits for that."""
    loop, closed = asyncio.get_running_loop(), asyncio.Event()

    def close() -> None:
        with suppress(KafkaException, RuntimeError):  # the latter from a loop that is gone by then
            reader.close()
            loop.call_soon_threadsafe(closed.set)

    threading.Thread(target=close, name="kafka-close", daemon=True).start()
    with suppress(TimeoutError):
        async with asyncio.timeout(_CLOSE_S):
            await closed.wait()
