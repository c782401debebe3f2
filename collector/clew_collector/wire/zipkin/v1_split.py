"""A v1 span as one v2 span for each side of it, by the rules of Zipkin's own `V1SpanConverter`.

A v1 span may hold both sides of a call under one ID: `cs` and `cr` of the client, `sr` and `ss` of the server, and
likewise `ms` and `mr` of a message's two sides, `ws` and `wr` of its way over the wire. Sides are told apart by the
name of the service.
"""

from typing import Final

from clew_collector.model import record
from clew_collector.wire.zipkin.model import Annotation, Endpoint, ZipkinKind, ZipkinSpan

_KIND_OF: Final[dict[str, ZipkinKind]] = {
    "cs": "client",
    "cr": "client",
    "sr": "server",
    "ss": "server",
    "ms": "producer",
    "mr": "consumer",
}
_MARKS: Final = (*_KIND_OF, "ws", "wr")


@record
class V1Annotation:
    """Something that happened at one moment, and where."""

    time_us: int
    text: str
    endpoint: Endpoint | None


@record
class V1BinaryAnnotation:
    """A tag; without text it says that `endpoint` is the address of a side: `ca`, `sa` or `ma`."""

    key: str
    text: str | None
    endpoint: Endpoint | None


@record
class V1Span:
    """A span of the v1 format; 0 is a time that was not given."""

    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    name: str
    start_us: int
    duration_us: int
    annotations: tuple[V1Annotation, ...]
    binary_annotations: tuple[V1BinaryAnnotation, ...]


def split(source: V1Span) -> list[ZipkinSpan]:
    """The sides of a v1 span, the one that its first annotation belongs to before the others."""
    sides = _Sides(source)
    marks = _read_annotations(sides)
    _time_calls(sides, marks)
    _time_messages(sides, marks)
    addresses = _read_tags(sides)
    _name_remotes(sides, marks, addresses)
    return [_finished(source, side) for side in sides.all]


class _Side:
    """A span that is being put together."""

    def __init__(self, local: Endpoint | None = None) -> None:
        self.local = local
        self.remote: Endpoint | None = None
        self.kind: ZipkinKind = ""
        self.start_us = 0
        self.duration_us = 0
        self.annotations: list[Annotation] = []
        self.tags: dict[str, str] = {}
        self.shared = False

    def note(self, annotation: V1Annotation) -> None:
        self.annotations.append(Annotation(time_us=annotation.time_us, text=annotation.text))

    def lasts(self, begin: V1Annotation, end: V1Annotation | None) -> None:
        self.start_us = begin.time_us
        self.duration_us = max(0, end.time_us - begin.time_us) if end else 0


_Marks = dict[str, V1Annotation]


class _Sides:
    """The sides of one v1 span, found by endpoint."""

    def __init__(self, source: V1Span) -> None:
        self.source = source
        self.first = _Side()
        self.all = [self.first]
        self._of_service: dict[str, _Side] = {}

    def at(self, endpoint: Endpoint | None) -> _Side:
        """The side of this service; what has no endpoint is the first side's."""
        if endpoint is None:
            return self.first
        if self.first.local is None:
            self.first.local = endpoint
            self._of_service[endpoint.service] = self.first
        return self._of_service.get(endpoint.service) or self.fork(endpoint)

    def of(self, mark: V1Annotation) -> _Side:
        """The side that a mark belongs to."""
        return self.at(mark.endpoint)

    def fork(self, endpoint: Endpoint | None) -> _Side:
        """A side of its own, even for a service that has one: it called itself."""
        side = _Side(endpoint)
        self.all.append(side)
        self._of_service.setdefault(_service(endpoint), side)
        return side

    def time(self, begin: V1Annotation, end: V1Annotation | None) -> None:
        """Set the times of a side: the span's own where it has both, else those of the marks."""
        side = self.of(begin)
        if self.source.start_us and self.source.duration_us:
            side.start_us, side.duration_us = self.source.start_us, self.source.duration_us
        else:
            side.lasts(begin, end)


def _read_annotations(sides: _Sides) -> _Marks:
    """Give each annotation to its side, but for the marks, which are handed back."""
    marks: _Marks = {}
    for annotation in sides.source.annotations:
        side = sides.at(annotation.endpoint)
        if annotation.endpoint is None or annotation.text not in _MARKS:
            side.note(annotation)
            continue
        marks[annotation.text] = annotation
        side.kind = _KIND_OF.get(annotation.text, side.kind)
    for begin, end in (("cs", "cr"), ("sr", "ss")):
        if begin not in marks and end in marks and _ends_span(marks[end], sides.source):
            marks[begin] = V1Annotation(time_us=sides.source.start_us, text=begin, endpoint=marks[end].endpoint)
    return marks


def _ends_span(mark: V1Annotation, source: V1Span) -> bool:
    return bool(source.start_us and source.duration_us) and source.start_us + source.duration_us == mark.time_us


def _time_calls(sides: _Sides, marks: _Marks) -> None:
    sent, received, answered, got_answer = (marks.get(mark) for mark in ("cs", "sr", "ss", "cr"))
    source = sides.source
    if sent and received:
        # The client's times are the span's; the server's are read off its marks.
        sides.time(sent, got_answer)
        server = _other_side(sides, sent, received, kinds=("client", "server"))
        server.shared = True
        server.lasts(received, answered)
        if not got_answer and not source.duration_us:
            sides.of(sent).duration_us = 0
    elif sent and got_answer:
        sides.time(sent, got_answer)
    elif received and answered:
        sides.time(received, answered)
    else:
        _time_incomplete_call(sides, marks)
    # v1 has no flag for a shared ID: the server's half is told by the missing times, which are the client's to give.
    if received and not sent and (not source.start_us or (answered and not source.duration_us)):
        sides.of(received).shared = True


def _time_incomplete_call(sides: _Sides, marks: _Marks) -> None:
    for side in sides.all:
        begin, end = {"client": ("cs", "cr"), "server": ("sr", "ss")}.get(side.kind, ("", ""))
        if begin in marks:
            side.start_us = marks[begin].time_us
        if end in marks:
            side.note(marks[end])
    if sides.source.start_us:
        sides.first.start_us, sides.first.duration_us = sides.source.start_us, sides.source.duration_us


def _time_messages(sides: _Sides, marks: _Marks) -> None:
    sent, received, on_wire, off_wire = (marks.get(mark) for mark in ("ms", "mr", "ws", "wr"))
    if sent and received:
        consumer = _other_side(sides, sent, received, kinds=("producer", "consumer"))
        consumer.shared = True
        consumer.lasts(off_wire or received, received if off_wire else None)
        sides.of(sent).lasts(sent, on_wire)
    elif sent:
        sides.time(sent, on_wire)
    elif received:
        sides.time(off_wire or received, received if off_wire else None)
    else:
        for mark in (on_wire, off_wire):
            if mark:
                sides.of(mark).note(mark)


def _other_side(
    sides: _Sides, here: V1Annotation, there: V1Annotation, *, kinds: tuple[ZipkinKind, ZipkinKind]
) -> _Side:
    """The side of `there`; one of its own if that is the same service."""
    if not _same_service(here.endpoint, there.endpoint):
        return sides.of(there)
    sides.of(here).kind = kinds[0]
    other = sides.fork(there.endpoint)
    other.kind = kinds[1]
    return other


def _read_tags(sides: _Sides) -> dict[str, Endpoint]:
    """Give each tag to its side; the addresses of sides are handed back."""
    addresses: dict[str, Endpoint] = {}
    for tag in sides.source.binary_annotations:
        if tag.text is None:
            if tag.endpoint:
                addresses[tag.key] = tag.endpoint
            continue
        side = sides.at(tag.endpoint)
        # An empty "lc", local component, only says that the span has no other side.
        if tag.key != "lc" or tag.text:
            side.tags[tag.key] = tag.text
    return addresses


def _name_remotes(sides: _Sides, marks: _Marks, addresses: dict[str, Endpoint]) -> None:
    client, server, broker = (addresses.get(key) for key in ("ca", "sa", "ma"))
    if not any(mark in marks for mark in ("cs", "cr", "sr", "ss")) and (client or server):
        if client and server:
            sides.at(client).remote = server
        elif client:
            sides.first.kind, sides.first.remote = "server", client
        else:
            sides.first.remote = server
        return
    server_mark = marks.get("sr") or marks.get("ss")
    if client and server_mark and client != server_mark.endpoint:
        if _same_service(client, server_mark.endpoint):  # Finagle names the server; a service is not its own caller
            client = Endpoint(address=client.address, port=client.port)
        sides.of(server_mark).remote = client
    client_mark = marks.get("cs") or marks.get("cr")
    if server and client_mark:
        sides.of(client_mark).remote = server
    for mark in ("ms", "mr"):
        if broker and mark in marks:
            sides.of(marks[mark]).remote = broker


def _same_service(one: Endpoint | None, other: Endpoint | None) -> bool:
    return _service(one) == _service(other)


def _service(endpoint: Endpoint | None) -> str:
    return endpoint.service if endpoint else ""


def _finished(source: V1Span, side: _Side) -> ZipkinSpan:
    return ZipkinSpan(
        trace_id=source.trace_id,
        span_id=source.span_id,
        parent_id=source.parent_id,
        name=source.name,
        kind=side.kind,
        start_us=side.start_us,
        duration_us=side.duration_us,
        local=side.local,
        remote=side.remote,
        annotations=tuple(side.annotations),
        tags=dict(side.tags),
        shared=side.shared,
    )
