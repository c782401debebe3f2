"""The processors of a configuration, composed."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated

import duckdb
from pydantic import Field

from clew_collector.batch import Batch
from clew_collector.errors import BadPayload
from clew_collector.model import Signal, record
from clew_collector.processors.base import Drop, Processor, open_connection
from clew_collector.processors.enrich import Enrich, EnrichConfig
from clew_collector.processors.filter import Filter, FilterConfig
from clew_collector.processors.rate_limit import Limited, RateLimit, RateLimitConfig
from clew_collector.processors.redact import Redact, RedactConfig
from clew_collector.processors.rename import Rename, RenameConfig
from clew_collector.processors.sample import Sample, SampleConfig

ProcessorConfig = Annotated[
    RedactConfig | EnrichConfig | FilterConfig | RenameConfig | SampleConfig | RateLimitConfig,
    Field(discriminator="type"),
]
"""An item of the list `processors` in clew.yaml."""


@record
class Processed:
    """A batch as it is to be stored, and what was left out of it.

    Give it to `Processors.settle` when it has been stored.
    """

    batch: Batch
    drops: tuple[Drop, ...]
    limited: tuple[Limited, ...]


class Processors:
    """Processors in the order in which they are applied. For one thread."""

    def __init__(self, processors: Iterable[Processor | RateLimit]) -> None:
        self._processors = tuple(processors)
        self._own: duckdb.DuckDBPyConnection | None = None

    @property
    def has_limits(self) -> bool:
        """Whether what becomes of a batch depends on what has passed before."""
        return any(isinstance(each, RateLimit) for each in self._processors)

    def apply(self, signal: Signal, select: str) -> str:
        """The SELECT after all processors but rate limits, which depend on what has passed before. For any thread."""
        for processor in self._processors:
            if not isinstance(processor, RateLimit):
                select = processor.apply(signal, select)
        return select

    def process(self, batch: Batch, *, with_limits: bool = True) -> Processed:
        """A batch with all processors applied, or all but rate limits, and what they drop of it.

        The records are looked at here only to be counted, by processors that drop; all else happens when the SELECT
        is run. Raises `BadPayload` for a batch that cannot be read.
        """
        try:
            return self._process(
                batch, [each for each in self._processors if with_limits or not isinstance(each, RateLimit)]
            )
        except duckdb.Error as error:
            raise BadPayload(f"cannot be processed: {error}") from error

    def _process(self, batch: Batch, processors: Iterable[Processor | RateLimit]) -> Processed:
        drops: list[Drop] = []
        limited: list[Limited] = []
        select = batch.select
        for processor in processors:
            if isinstance(processor, RateLimit):
                processor = processor.for_batch(self._holding(batch), batch.signal, select)
                limited.append(processor)
            drops += self._dropped(processor, replace(batch, select=select))
            select = processor.apply(batch.signal, select)
        if self._own is not None:
            self._own.unregister("batch")
        return Processed(batch=replace(batch, select=select), drops=tuple(drops), limited=tuple(limited))

    def settle(self, processed: Processed) -> None:
        """Take note that a batch has been stored."""
        for limited in processed.limited:
            limited.settle()

    def _dropped(self, processor: Processor, batch: Batch) -> list[Drop]:
        count = processor.dropped(batch.signal, batch.select)
        if count is None:
            return []
        rows = self._holding(batch).execute(count).fetchall()
        return [
            Drop(processor=processor.name, service=service, reason=processor.reason, records=records)
            for service, records in sorted(rows)
        ]

    def _holding(self, batch: Batch) -> duckdb.DuckDBPyConnection:
        """This object's connection, with the batch."""
        if self._own is None:
            self._own = open_connection()
        self._own.register("batch", batch.table)
        return self._own


def compose(configs: Iterable[ProcessorConfig]) -> Processors:
    """The processors of a configuration, in its order."""
    return Processors([_made(config) for config in configs])


def _made(config: ProcessorConfig) -> Processor | RateLimit:
    match config:
        case RedactConfig():
            return Redact(config)
        case EnrichConfig():
            return Enrich(config)
        case FilterConfig():
            return Filter(config)
        case RenameConfig():
            return Rename(config)
        case SampleConfig():
            return Sample(config)
        case RateLimitConfig():
            return RateLimit(config)
