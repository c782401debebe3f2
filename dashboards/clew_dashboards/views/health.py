"""What the health page says."""

from collections.abc import Collection, Iterable, Mapping
from typing import Final, Literal

from clew_collector.model import record
from clew_dashboards.health import DeadLetterHealth, Health, ReaderHealth, ServiceHealth, SourceHealth
from clew_dashboards.wording import NS_PER_S, count_text, duration_text, number_text, size_text

_STORE: Final = "store"

_LATE_S: Final = 60
"""A payload that waits longer than this is worth a word: it should take a second."""

_MAX_REASONS: Final = 3
"""Reasons that the sentence names; the table has all."""

Tone = Literal["", "dim", "warn", "error"]


@record
class Cell:
    """A number as people read it, and whether it calls for attention."""

    text: str
    tone: Tone = ""


_NOTHING: Final = Cell("-", "dim")


@record
class Row:
    """A line of a table: what it is about, a cell a column, and what there is to say below it."""

    name: str
    cells: tuple[Cell, ...]
    notes: tuple[Cell, ...] = ()


@record
class Table:
    """A titled table; `empty` is said where it has no rows."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    empty: str = ""


@record
class HealthPage:
    """A sentence, what else is wrong, the few numbers that a person would say aloud, and the tables behind them.

    `dead_letters` is what can be said of payloads that could not be stored; empty if there are none.
    """

    sentence: str
    tone: Tone
    also: tuple[str, ...]
    facts: tuple[tuple[str, Cell], ...]
    tables: tuple[Table, ...]
    dead_letters: str

    @property
    def calm(self) -> bool:
        """Whether there is nothing to worry about."""
        return not self.tone


def health_page(health: Health, dropped_by_services: Mapping[str, Mapping[str, int]] | None = None) -> HealthPage:
    """The numbers of `health` and of what services dropped themselves, with a sentence about them."""
    by_services = dropped_by_services or {}
    outages = [_outage_text(reader) for reader in health.readers if reader.outage]
    troubles = [*outages, *_troubles(health), *_troubles_of_services(by_services)]
    tables = [_ways_in(health), _waiting(health.readers), _services(health)] if health.sources or health.readers else []
    first, *others = map(_as_sentence, troubles or [_all_is_well(health)])
    return HealthPage(
        sentence=first,
        tone="error" if outages else "warn" if troubles else "",
        also=tuple(others),
        facts=_facts(health),
        tables=(*tables, *[_unsent(name, counts) for name, counts in by_services.items()]),
        dead_letters=_dead_letters_text(health.dead_letters),
    )


def _as_sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _all_is_well(health: Health) -> str:
    if not health.stored.logs and not health.stored.spans and not health.spool_payloads:
        return "all is well; nothing has arrived yet"
    lost = "nothing was refused or dropped" + (" but what the settings leave out" if health.left_out else "")
    if health.spool_payloads:
        waiting = count_text(health.spool_payloads, "payload")
        return f"all is well: {lost}; {waiting} on the way to the store"
    return f"all is well: {lost}, and all {'else ' if health.left_out else ''}that was accepted is stored"


def _outage_text(reader: ReaderHealth) -> str:
    name = reader.name if reader.name == _STORE else f"sink {reader.name}"
    return f"the {name} takes nothing now, and what comes waits in the spool"


def _troubles(health: Health) -> list[str]:
    troubles = []
    if health.oldest_age_s is not None and health.oldest_age_s > _LATE_S:
        troubles.append(f"the oldest payload has waited {_duration(health.oldest_age_s)} to be stored")
    lost = {reason: number for reason, number in health.dropped.items() if reason not in health.left_out}
    if dropped := sum(lost.values()):
        troubles.append(f"{number_text(dropped)} dropped ({_reasons(lost)})")
    if refused := sum(health.refused.values()):
        troubles.append(f"{number_text(refused)} refused ({_reasons(health.refused)})")
    return troubles


def _troubles_of_services(by_services: Mapping[str, Mapping[str, int]]) -> list[str]:
    dropped = sum(sum(counts.values()) for counts in by_services.values())
    return (
        [f"{number_text(dropped)} dropped by services before they were sent ({', '.join(by_services)})"]
        if dropped
        else []
    )


def _facts(health: Health) -> tuple[tuple[str, Cell], ...]:
    size = f" ({size_text(health.spool_bytes)})" if health.spool_payloads else ""
    facts = [
        ("log lines stored", Cell(number_text(health.stored.logs))),
        ("spans stored", Cell(number_text(health.stored.spans))),
        (f"payloads waiting{size}", Cell(number_text(health.spool_payloads))),
    ]
    if lags := [lag_s for reader in health.readers for lag_s in reader.lag_s.values()]:
        facts.append(("until it can be asked for", Cell(_duration(max(lags)), _late(max(lags)))))
    return tuple(facts)


def _ways_in(health: Health) -> Table:
    sources = sorted(health.sources, key=lambda source: (not _is_way_in(source), source.name))
    title = "By receiver" if all(map(_is_way_in, sources)) else "By receiver, and where else records were dropped"
    columns = ("Log lines", "Spans", "Sent again", "Refused", "Dropped")
    return Table(
        title,
        columns,
        tuple(_source_row(source, health.left_out) for source in sources),
        empty="Nothing was sent here yet.",
    )


def _is_way_in(source: SourceHealth) -> bool:
    return bool(source.accepted or source.duplicate or source.refused)


def _source_row(source: SourceHealth, left_out: Collection[str]) -> Row:
    taken = (
        _number(source.accepted.get("logs", 0)),
        _number(source.accepted.get("traces", 0)),
        _number(sum(source.duplicate.values())),
        _number(sum(source.refused.values()), "warn"),
    )
    return Row(
        name=source.name,
        cells=(
            *(taken if _is_way_in(source) else [_NOTHING] * len(taken)),
            _number(sum(source.dropped.values()), "warn" if source.dropped.keys() - left_out else ""),
        ),
        notes=(*_notes("refused", source.refused), *_notes("dropped", source.dropped)),
    )


def _notes(outcome: str, counts: Mapping[str, int]) -> Iterable[Cell]:
    for reason, number in _largest_first(counts):
        yield Cell(f"{number_text(number)} {outcome}: {_readable(reason)}", "dim")


def _waiting(readers: tuple[ReaderHealth, ...]) -> Table:
    columns = ("Payloads", "Size", "Oldest", "Lag of logs", "Lag of spans")
    return Table("Waiting to be stored", columns, tuple(map(_reader_row, readers)))


def _reader_row(reader: ReaderHealth) -> Row:
    return Row(
        name=reader.name,
        cells=(
            _number(reader.payloads),
            Cell(size_text(reader.bytes)) if reader.payloads else _NOTHING,
            _age(reader.oldest_age_s),
            _age(reader.lag_s.get("logs")),
            _age(reader.lag_s.get("traces")),
        ),
        notes=(Cell(reader.outage, "error"),) if reader.outage else (),
    )


def _services(health: Health) -> Table:
    all_services = (*health.services, *([health.other_services] if health.other_services else []))
    rows = tuple(map(_service_row, all_services))
    return Table("Accepted, by service", ("Log lines", "Spans"), rows, empty="No service has sent anything yet.")


def _service_row(service: ServiceHealth) -> Row:
    return Row(name=service.name, cells=(_number(service.logs), _number(service.spans)))


def _unsent(service: str, counts: Mapping[str, int]) -> Table:
    rows = [Row(_readable(name.replace(".", ", ")), (_number(number, "warn"),)) for name, number in counts.items()]
    return Table(f"Dropped by {service}, unsent", ("Records",), tuple(rows))


def _dead_letters_text(letters: DeadLetterHealth) -> str:
    if not letters.count:
        return ""
    age = "" if letters.oldest_age_s is None else f", the oldest {_duration(letters.oldest_age_s)} old"
    them = count_text(letters.count, "payload")
    return f"{them} could not be stored and wait here ({size_text(letters.bytes)}{age}). Last: {letters.last_reason}"


def _reasons(counts: Mapping[str, int]) -> str:
    named = [_readable(reason) for reason, _ in _largest_first(counts)]
    more = len(named) - _MAX_REASONS
    return ", ".join(named[:_MAX_REASONS]) + (f" and {more} more" if more > 0 else "")


def _largest_first(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(((name, number) for name, number in counts.items() if number), key=lambda each: (-each[1], each[0]))


def _readable(reason: str) -> str:
    signal, separator, rest = reason.replace("_", " ").partition(": ")
    if not separator:
        return signal
    return rest if signal == "other" else f"{'spans' if signal == 'traces' else signal}: {rest}"


def _number(number: int, tone: Tone = "") -> Cell:
    return Cell(number_text(number), tone if number else "dim")


def _age(age_s: float | None) -> Cell:
    return _NOTHING if age_s is None else Cell(_duration(age_s), _late(age_s))


def _late(age_s: float) -> Tone:
    return "warn" if age_s > _LATE_S else ""


def _duration(duration_s: float) -> str:
    return duration_text(round(duration_s * NS_PER_S))
