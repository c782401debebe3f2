"""The time axis of a waterfall: its extent, its ticks, and where a moment lies on it."""

import math

from clew_collector.model import Request, record
from clew_dashboards.wording import duration_text

_WISHED_TICKS = 6


@record
class Tick:
    """A mark on the axis, `at_percent` from its start."""

    at_percent: float
    label: str


@record
class Axis:
    """From the first start to the last end or line; never of no length."""

    start_ns: int
    length_ns: int

    def percent_at(self, time_ns: int) -> float:
        """Where a moment lies; moments outside lie at the nearer end."""
        return min(100.0, max(0.0, (time_ns - self.start_ns) * 100 / self.length_ns))


def axis_of(request: Request) -> Axis:
    """The axis that holds every record with a time."""
    moments = [time_ns for span in request.spans for time_ns in (span.start_ns, span.end_ns)]
    moments += [log.time_ns for log in request.logs]
    # A sender that does not know the time says 0: such a record has no place on the axis, and must not stretch it.
    known = [time_ns for time_ns in moments if time_ns > 0] or [request.start_ns]
    return Axis(start_ns=min(known), length_ns=max(1, max(known) - min(known)))


def ticks_of(axis: Axis) -> tuple[Tick, ...]:
    """About six marks at round times: 1, 2 or 5 times a power of ten."""
    step_ns = _round_step(axis.length_ns / _WISHED_TICKS)
    count = int(axis.length_ns / step_ns + 1e-9)
    return tuple(
        Tick(at_percent=round(number * step_ns * 100 / axis.length_ns, 4), label=_label(number * step_ns))
        for number in range(count + 1)
    )


def _round_step(wished_ns: float) -> float:
    magnitude = 10.0 ** math.floor(math.log10(wished_ns))
    for factor in (1, 2, 5, 10):
        if wished_ns <= factor * magnitude * 1.0001:
            return factor * magnitude
    return 10 * magnitude


def _label(offset_ns: float) -> str:
    return "0" if offset_ns == 0 else duration_text(round(offset_ns)) if offset_ns >= 1 else f"{offset_ns:g} ns"
