"""What the other side says to a request, whichever protocol carried it."""

from typing import Any, Final, Protocol

from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from clew_collector.errors import ClewError
from clew_collector.model import Signal, record
from clew_collector.sinks.base import SinkUnavailable

_RESPONSES: Final[dict[Signal, tuple[type[Message], str]]] = {
    "logs": (ExportLogsServiceResponse, "rejected_log_records"),
    "traces": (ExportTraceServiceResponse, "rejected_spans"),
}


class BodyRefused(ClewError):
    """Send parts of it: this body will never be taken as it is."""


@record
class Partly:
    """How many records of a body were not taken, which of them is not said, and why."""

    rejected: int
    reason: str


class Transport(Protocol):
    """A way to the other side, for several threads at once."""

    def send(self, signal: Signal, body: bytes) -> bytes:
        """The answer to a request that was taken. Raises `BodyRefused` and `SinkUnavailable`."""
        ...

    def close(self) -> None:
        """Let go of connections. Safe to call twice."""
        ...


def partial_success(signal: Signal, answer: bytes) -> Partly:
    """What an answer says of records that were left out.

    Raises `SinkUnavailable` if it is none of OTLP's: some proxy has answered, and nobody has the records.
    """
    message, field = _RESPONSES[signal]
    try:
        parsed: Any = message.FromString(answer)
    except DecodeError as error:
        raise SinkUnavailable(f"the answer is not OTLP's: {answer[:80]!r}") from error
    said = parsed.partial_success
    return Partly(rejected=getattr(said, field), reason=" ".join(said.error_message.split())[:200])
