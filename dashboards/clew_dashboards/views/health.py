"""What the health page says."""

from collections.abc import Mapping

from clew_collector.model import record
from clew_dashboards.health import Health
from clew_dashboards.wording import NS_PER_S, count_text, duration_text, number_text, size_text

_LATE_S = 60
"""A payload that waits longer than this is worth a word: it should take a second."""


@record
class Group:
    """A titled list of counts; `empty` is said where there are none."""

    title: str
    counts: tuple[tuple[str, str], ...]
    empty: str


@record
class HealthPage:
    """A sentence, and the numbers behind it."""

    sentence: str
    calm: bool
    groups: tuple[Group, ...]


def health_page(health: Health, dropped_by_services: Mapping[str, Mapping[str, int]] | None = None) -> HealthPage:
    """The numbers of `health` and of what services dropped themselves, with a sentence about them."""
    by_services = dropped_by_services or {}
    stored = (("log lines", number_text(health.stored.logs)), ("spans", number_text(health.stored.spans)))
    groups = (
        Group(title="Can be asked for now", counts=stored, empty=""),
        Group(title="Waiting to be stored", counts=_spool_counts(health), empty=""),
        Group(title="Accepted so far", counts=_counts(health.accepted), empty="nothing yet"),
        Group(title="Sent again, kept once", counts=_counts(health.duplicate), empty="nothing"),
        Group(title="Refused, by reason", counts=_counts(health.refused), empty="nothing"),
        Group(title="Dropped, by reason", counts=_counts(health.dropped), empty="nothing"),
        *[
            Group(title=f"Dropped by {name}, unsent", counts=_counts(counts), empty="")
            for name, counts in by_services.items()
        ],
    )
    troubles = [*_troubles(health), *_troubles_of_services(by_services)]
    return HealthPage(sentence=_sentence(health, troubles), calm=not troubles, groups=groups)


def _sentence(health: Health, troubles: list[str]) -> str:
    if troubles:
        return f"{'; '.join(troubles).capitalize()}."
    if not health.stored.logs and not health.stored.spans and not health.spool_payloads:
        return "All is well; nothing has arrived yet."
    if health.spool_payloads:
        waiting = count_text(health.spool_payloads, "payload")
        return f"All is well: nothing was refused or dropped; {waiting} on the way to the store."
    return "All is well: nothing was refused or dropped, and all that was accepted is stored."


def _troubles(health: Health) -> list[str]:
    troubles = []
    if dropped := sum(health.dropped.values()):
        troubles.append(f"{number_text(dropped)} dropped ({_reasons(health.dropped)})")
    if refused := sum(health.refused.values()):
        troubles.append(f"{number_text(refused)} refused ({_reasons(health.refused)})")
    if health.oldest_age_s is not None and health.oldest_age_s > _LATE_S:
        age = duration_text(round(health.oldest_age_s * NS_PER_S))
        troubles.append(f"the oldest payload has waited {age} to be stored")
    return troubles


def _troubles_of_services(by_services: Mapping[str, Mapping[str, int]]) -> list[str]:
    dropped = sum(sum(counts.values()) for counts in by_services.values())
    return (
        [f"{number_text(dropped)} dropped by services before they were sent ({', '.join(by_services)})"]
        if dropped
        else []
    )


def _reasons(counts: Mapping[str, int]) -> str:
    return ", ".join(reason.replace("_", " ") for reason, number in sorted(counts.items()) if number)


def _spool_counts(health: Health) -> tuple[tuple[str, str], ...]:
    age = "-" if health.oldest_age_s is None else duration_text(round(health.oldest_age_s * NS_PER_S))
    return (
        ("payloads", number_text(health.spool_payloads)),
        ("size", size_text(health.spool_bytes)),
        ("oldest", age),
    )


def _counts(counts: Mapping[str, int]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (name.replace("_", " ").replace(".", ", "), number_text(number)) for name, number in sorted(counts.items())
    )
