"""Spans, their events and log lines in causal order: the order of the rows of a waterfall.

Everything here walks with loops, never by recursion: a trace may be thousands of levels deep, and hostile.
"""

from collections.abc import Sequence

from clew_collector.model import SHARED_SPAN_ID, LogRecord, Span, SpanEvent, Value, record

Source = Span | LogRecord | SpanEvent

_SpanKey = tuple[str | None, str | None]


@record
class Entry:
    """A record at its place in the order.

    `parent` is the parent's position, `size` how many entries are beneath it and `errors` how many of those failed.
    `place` finds the record again: its index among the request's spans or logs; for an event, its span's index and
    its own. Entries at the top have `level` 1.
    """

    source: Source
    place: tuple[int, ...]
    level: int
    parent: int | None
    size: int = 0
    errors: int = 0


@record
class Order:
    """All entries, parents before children.

    `orphans` counts spans whose parent is not there, `loops` places where spans were each other's ancestors.
    """

    entries: tuple[Entry, ...]
    orphans: int
    loops: int


def in_causal_order(spans: Sequence[Span], logs: Sequence[LogRecord]) -> Order:
    """Parents before children, siblings by time, traces by their first start.

    Clocks of two hosts differ: order by parent first, by time only among siblings, or a child may seem to start
    before its parent. A line goes under the span that it names; if that is not there, under the first root of its
    trace; if there is none, among the roots.
    """
    family = _Family(spans)
    children: list[list[_Item]] = [[] for _ in spans]
    top: list[_Item] = []
    for index, parent in enumerate(family.parents):
        item = _Item(source=spans[index], place=(index,))
        (top if parent is None else children[parent]).append(item)
        children[index].extend(
            _Item(source=event, place=(index, number)) for number, event in enumerate(spans[index].events)
        )
    for index, log in enumerate(logs):
        owner = family.owner_of(log)
        (top if owner is None else children[owner]).append(_Item(source=log, place=(index,)))
    for siblings in children:
        siblings.sort(key=_by_time)
    entries = _walk(_by_trace(top, spans, logs), children)
    _sum_up(entries)
    return Order(entries=tuple(entries), orphans=family.orphans, loops=family.loops)


def is_error(source: Source) -> bool:
    """Whether this is a failed span, an error line or an exception."""
    return source.name == "exception" if isinstance(source, SpanEvent) else source.is_error


@record
class _Item:
    source: Source
    place: tuple[int, ...]


class _Family:
    """Who is whose parent, by index of span."""

    def __init__(self, spans: Sequence[Span]) -> None:
        self._spans = spans
        self._holders, self._client_halves = _holders(spans)
        self._separated = _separated_halves(spans)
        self._by_span_id = {span_id: index for (_, span_id), index in reversed(self._holders.items())}
        self.orphans = 0
        self.parents = [self._parent_of(index) for index in range(len(spans))]
        self.loops = _cut_loops(self.parents, spans)
        self._first_roots = self._find_first_roots()

    def owner_of(self, log: LogRecord) -> int | None:
        """The span that a line belongs under."""
        if log.trace_id is None:
            return self._by_span_id.get(log.span_id) if log.span_id else None
        named = self._separated.get((log.trace_id, log.span_id, log.service))
        if named is None:
            named = self._holders.get((log.trace_id, log.span_id))
        return named if named is not None else self._first_roots.get(log.trace_id)

    def _parent_of(self, index: int) -> int | None:
        span = self._spans[index]
        if index in self._client_halves:
            return self._client_halves[index]
        if span.parent_span_id is None:
            return None
        parent = None
        if span.attributes.get(SHARED_SPAN_ID) is None:
            parent = self._separated.get((span.trace_id, span.parent_span_id, span.service))
        if parent is None:
            parent = self._holders.get((span.trace_id, span.parent_span_id))
        if parent is None:
            self.orphans += 1
        return parent

    def _find_first_roots(self) -> dict[str | None, int]:
        # A true root before an orphan, then the earliest.
        roots = [index for index, parent in enumerate(self.parents) if parent is None]
        roots.sort(key=lambda index: (self._spans[index].parent_span_id is not None, self._spans[index].start_ns))
        first: dict[str | None, int] = {}
        for index in roots:
            first.setdefault(self._spans[index].trace_id, index)
        return first


def _separated_halves(spans: Sequence[Span]) -> dict[tuple[str | None, Value, str], int]:
    """Server halves that came under their client's ID, by that ID and their service.

    They have IDs of their own, which their children and lines know nothing of: those that came in another payload
    still name the client's.
    """
    halves: dict[tuple[str | None, Value, str], int] = {}
    for index, span in enumerate(spans):
        shared_id = span.attributes.get(SHARED_SPAN_ID)
        if isinstance(shared_id, str):
            halves.setdefault((span.trace_id, shared_id, span.service), index)
    return halves


def _holders(spans: Sequence[Span]) -> tuple[dict[_SpanKey, int], dict[int, int]]:
    """Which span an ID stands for, and the client half of each server half.

    Zipkin lets the two sides of a call share one ID (https://github.com/openzipkin/b3-propagation): then the client
    is the server's parent, and the children are the server's. Of other spans with one ID the first holds it.
    """
    holders: dict[_SpanKey, int] = {}
    client_halves: dict[int, int] = {}
    for index, span in enumerate(spans):
        if span.span_id is None:
            continue
        key = (span.trace_id, span.span_id)
        held = holders.setdefault(key, index)
        kinds = (spans[held].kind, span.kind)
        if kinds == ("client", "server"):
            client_halves[index] = held
            holders[key] = index
        elif kinds == ("server", "client") and held not in client_halves:
            client_halves[held] = index
    return holders, client_halves


def _cut_loops(parents: list[int | None], spans: Sequence[Span]) -> int:
    """Make the earliest span of each loop a root, in place; how many loops there were."""
    loops = 0
    settled = [False] * len(parents)
    for start in range(len(parents)):
        path: dict[int, None] = {}
        index: int | None = start
        while index is not None and not settled[index] and index not in path:
            path[index] = None
            index = parents[index]
        if index is not None and index in path:
            walked = list(path)
            first = min(walked[walked.index(index) :], key=lambda member: spans[member].start_ns)
            parents[first] = None
            loops += 1
        for member in path:
            settled[member] = True
    return loops


def _by_time(item: _Item) -> tuple[int, int, tuple[int, ...]]:
    source = item.source
    if isinstance(source, Span):
        return source.start_ns, 2, item.place
    return source.time_ns, 0 if isinstance(source, LogRecord) else 1, item.place


def _by_trace(top: list[_Item], spans: Sequence[Span], logs: Sequence[LogRecord]) -> list[_Item]:
    starts: dict[str, int] = {}
    for trace_id, time_ns in [(span.trace_id, span.start_ns) for span in spans] + [
        (log.trace_id, log.time_ns) for log in logs
    ]:
        if trace_id is not None:
            starts[trace_id] = min(time_ns, starts.get(trace_id, time_ns))

    def key(item: _Item) -> tuple[int, str, tuple[int, int, tuple[int, ...]]]:
        own = _by_time(item)
        trace_id = trace_of(item.source)
        return starts[trace_id] if trace_id else own[0], trace_id or "", own

    return sorted(top, key=key)


def trace_of(source: Source) -> str | None:
    """The trace that a span or a line says it belongs to."""
    return None if isinstance(source, SpanEvent) else source.trace_id or None


def _walk(top: list[_Item], children: list[list[_Item]]) -> list[Entry]:
    entries: list[Entry] = []
    waiting: list[tuple[_Item, int, int | None]] = [(item, 1, None) for item in reversed(top)]
    while waiting:
        item, level, parent = waiting.pop()
        position = len(entries)
        entries.append(Entry(source=item.source, place=item.place, level=level, parent=parent))
        if isinstance(item.source, Span):
            waiting.extend((child, level + 1, position) for child in reversed(children[item.place[0]]))
    return entries


def _sum_up(entries: list[Entry]) -> None:
    sizes = [0] * len(entries)
    errors = [0] * len(entries)
    for position in range(len(entries) - 1, -1, -1):
        entry = entries[position]
        entries[position] = Entry(
            source=entry.source,
            place=entry.place,
            level=entry.level,
            parent=entry.parent,
            size=sizes[position],
            errors=errors[position],
        )
        if entry.parent is not None:
            sizes[entry.parent] += sizes[position] + 1
            errors[entry.parent] += errors[position] + is_error(entry.source)
