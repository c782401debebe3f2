"""Processors over real OTLP requests, in the form in which clew.yaml has them."""

from collections.abc import Sequence
from typing import Any

import duckdb
from google.protobuf.message import Message
from pydantic import TypeAdapter

from clew_collector.batch import Batch
from clew_collector.model import LogRecord, Span
from clew_collector.processors.base import Drop, open_connection
from clew_collector.processors.config import ProcessorConfig, Processors, compose
from clew_collector.stores.duckdb.rows import LOG_COLUMNS, SPAN_COLUMNS, log_of, span_of
from tests.collector.storing import batch_of

Yaml = dict[str, Any]

_adapter: TypeAdapter[list[ProcessorConfig]] = TypeAdapter(list[ProcessorConfig])


def configured(*configs: Yaml) -> Processors:
    """The processors of these items of `processors` in clew.yaml."""
    return compose(_adapter.validate_python(list(configs)))


def rows_of(batch: Batch) -> list[tuple[Any, ...]]:
    """What a store would insert."""
    with open_connection() as connection:
        return selected(connection, batch, "*")


def selected(connection: duckdb.DuckDBPyConnection, batch: Batch, columns: str) -> list[tuple[Any, ...]]:
    connection.register("batch", batch.table)
    return connection.execute(f"SELECT {columns} FROM ({batch.select})").fetchall()


def logs_after(request: Message, *configs: Yaml) -> list[LogRecord]:
    """The log records of a request that are left, as a page would show them."""
    batch = configured(*configs).process(batch_of(request, number=1)).batch
    with open_connection() as connection:
        return [log_of(row) for row in selected(connection, batch, LOG_COLUMNS)]


def spans_after(request: Message, *configs: Yaml) -> list[Span]:
    """The spans of a request that are left."""
    batch = configured(*configs).process(batch_of(request, number=1)).batch
    with open_connection() as connection:
        return [span_of(row) for row in selected(connection, batch, SPAN_COLUMNS)]


def drops_of(request: Message, *configs: Yaml) -> Sequence[Drop]:
    """What is counted as dropped."""
    return configured(*configs).process(batch_of(request, number=1)).drops
