"""A batch as OTLP requests, one for each payload: the bytes that came where nothing changed them, else encoded anew."""

from collections.abc import Iterator, Sequence
from typing import Final

from clew_collector.model import Signal, record
from clew_collector.sinks.base import Outgoing
from clew_collector.sinks.connections import Connections
from clew_collector.sinks.refused import only_records
from clew_collector.wire.otlp.from_rows import COLUMNS, requests_of_rows

_ROWS: Final = 1_000


@record
class OtlpBody:
    """What goes out of one payload: an OTLP request with its records, at these positions of the payload."""

    payload_id: int
    encoded: bytes
    positions: Sequence[int]


def bodies_of(outgoing: Outgoing, connections: Connections) -> Iterator[OtlpBody]:
    """The requests of a batch. The same payload gives the same bytes, whatever else is in its batch."""
    if outgoing.is_as_received:
        for payload in outgoing.payloads:
            yield OtlpBody(payload_id=payload.id, encoded=payload.body, positions=range(payload.records))
        return
    with connections.holding(outgoing) as connection:
        result = connection.execute(f"SELECT {COLUMNS[outgoing.signal]} FROM ({outgoing.select})")
        rows = (row for some in iter(lambda: result.fetchmany(_ROWS), []) for row in some)
        for request in requests_of_rows(outgoing.signal, rows):
            encoded = request.message.SerializeToString()
            yield OtlpBody(payload_id=request.payload_id, encoded=encoded, positions=request.positions)


def halves(signal: Signal, body: OtlpBody) -> tuple[OtlpBody, OtlpBody]:
    """Two requests with half of the records each; the body has two at least."""
    middle = len(body.positions) // 2
    first, second = (
        OtlpBody(
            payload_id=body.payload_id,
            encoded=only_records(signal, body.encoded, range(start, end)),
            positions=body.positions[start:end],
        )
        for start, end in ((0, middle), (middle, len(body.positions)))
    )
    return first, second
