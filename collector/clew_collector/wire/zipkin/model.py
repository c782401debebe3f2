"""A span as Zipkin's v2 model has it, read from whichever format. Times are in microseconds; 0 means not given."""

from collections.abc import Mapping
from typing import Literal

from clew_collector.model import Value, record

ZipkinKind = Literal["", "client", "server", "producer", "consumer"]
"""Empty: an operation within one service, or a span whose start was never reported."""


@record
class Endpoint:
    """One side of a connection; at least one of the three is given."""

    service: str = ""
    address: str = ""
    port: int = 0


@record
class Annotation:
    """Something that happened at one moment."""

    time_us: int
    text: str


@record
class ZipkinSpan:
    """One host's view of an operation.

    `trace_id` has 16 bytes (one of 8 has zeroes before it), `span_id` and `parent_id` 8; a root's `parent_id` is
    empty. `shared` says that the ID was made by the caller. `shared_span_id` is that ID, once the span was given one
    of its own.
    """

    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    name: str
    kind: ZipkinKind
    start_us: int
    duration_us: int
    local: Endpoint | None
    remote: Endpoint | None
    annotations: tuple[Annotation, ...]
    tags: Mapping[str, Value]
    shared: bool
    shared_span_id: bytes = b""

    @property
    def service(self) -> str:
        """Name of the service that reported the span; empty where it gave none."""
        return self.local.service if self.local else ""

    @property
    def address(self) -> str:
        """IP address of the host that reported the span; empty where it gave none."""
        return self.local.address if self.local else ""
