"""Batches as a sink is given them."""

from collections.abc import Sequence

from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from clew_collector.batch import Batch
from clew_collector.model import Signal
from clew_collector.processors.config import Processors
from clew_collector.sinks.base import Outgoing
from clew_collector.spool import Spooled
from clew_collector.wire.otlp.numbered import NUMBERED_SELECTS, with_numbers
from clew_collector.wire.otlp.payload import count_records, decode, parse


def outgoing(*requests: Message, first_id: int = 1, processors: Processors | None = None) -> Outgoing:
    """A batch with a payload for each request, numbered from `first_id`."""
    signal: Signal = "logs" if isinstance(requests[0], ExportLogsServiceRequest) else "traces"
    bodies = [request.SerializeToString() for request in requests]
    return outgoing_bodies(signal, bodies, first_id=first_id, processors=processors)


def outgoing_bodies(
    signal: Signal, bodies: Sequence[bytes], *, first_id: int = 1, processors: Processors | None = None
) -> Outgoing:
    """A batch of payloads whose bytes are given."""
    payloads = [
        Spooled(id=first_id + index, body=body, records=count_records(parse(signal, body)), received_ns=index)
        for index, body in enumerate(bodies)
    ]
    table = with_numbers(signal, decode(signal, list(bodies)), [payload.id for payload in payloads])
    select = NUMBERED_SELECTS[signal]
    if processors is not None:
        batch = Batch(signal=signal, table=table, select=select, last_id=payloads[-1].id)
        select = processors.process(batch).batch.select
    return Outgoing(
        signal=signal,
        table=table,
        select=select,
        payloads=payloads,
        is_as_received=select == NUMBERED_SELECTS[signal],
    )
