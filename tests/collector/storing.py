"""Getting OTLP requests into a store as the store process does."""

from itertools import count

from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from clew_collector.batch import Batch
from clew_collector.model import Signal
from clew_collector.pipeline import BatchSink
from clew_collector.wire.otlp.payload import decode
from clew_collector.wire.otlp.select import SELECTS

_numbers = count(1)


def store_all(store: BatchSink, *requests: Message) -> None:
    """Write each request as a batch of its own, in order."""
    for request in requests:
        store.write(batch_of(request, number=next(_numbers)))


def batch_of(*requests: Message, number: int) -> Batch:
    """One batch of requests of one signal under a spool number."""
    signal: Signal = "logs" if isinstance(requests[0], ExportLogsServiceRequest) else "traces"
    table = decode(signal, [request.SerializeToString() for request in requests])
    return Batch(signal=signal, table=table, select=SELECTS[signal], last_id=number)
