"""How each fault of the matrix comes about, and goes."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from clew_collector.sinks.pacing import BatchBounds
from tests.collector.sinks.faults.archive_places import BucketPlace
from tests.collector.sinks.faults.killed import STAGES, killed_at
from tests.collector.sinks.faults.places import RETRY_AFTER_S, Settings, Tls, Trouble
from tests.collector.sinks.faults.records import TOO_LARGE, numbered, refused, too_large
from tests.collector.sinks.faults.servers import Servers
from tests.collector.sinks.faults.trial import Trial

_MANY: Final = 20
_ALL_IN_ONE: Final = BatchBounds(max_records=10_000, max_bytes=1 << 24)


def away_at_the_start(trial: Trial, servers: Servers) -> None:
    trial.fill(4)
    line, settings = trial.place.line(timeout_s=3)
    with trial.shipping(settings) as loop:
        trial.fails(loop)
        with line.listening():
            trial.drain(loop)


def away_while_many_batches_pile_up(trial: Trial, servers: Servers) -> None:
    trial.fill(2)
    line, settings = trial.place.line(timeout_s=3)
    with trial.shipping(settings) as loop:
        with line.listening():
            trial.ship_one(loop)
        trial.fill(_MANY)
        for _ in range(2):
            trial.fails(loop)
        with line.listening():
            trial.drain(loop)


def troubled(trouble: Trouble, trial: Trial, servers: Servers) -> None:
    """The line, or the server, is in trouble between the first batch and the last."""
    trial.fill(3)
    line, settings = trial.place.line(timeout_s=2 if trouble is Trouble.SLOW else 20)
    with line.listening(), trial.shipping(settings) as loop:
        trial.ship_one(loop)
        line.begin(trouble)
        if trial.cell.says:
            error = trial.fails(loop)
            is_told_when = trouble is Trouble.FULL_UNTIL and trial.sink != "s3"
            assert error.retry_after_s == (RETRY_AFTER_S if is_told_when else None)
        else:
            loop.step()
        line.end()
        trial.fill(2)
        trial.drain(loop)


def refuses_some_records(trial: Trial, servers: Servers) -> None:
    signal, trace = trial.place.signal, trial.place.trace
    trial.fill(2)
    bad = too_large(signal, trace=trace) if trial.sink == "kafka" else refused(signal, trace=trace)
    trial.sent.append("line 1000")
    trial.put(bad, numbered(signal, 1000, trace=trace))
    line, settings = trial.place.line()
    more = {"max_message_bytes": 10_000} if trial.sink == "kafka" else {}
    with line.listening(), trial.shipping({**settings, **more}) as loop:
        if trial.sink not in ("elasticsearch", "kafka"):  # these refuse by themselves
            line.begin(Trouble.PICKY)
        trial.drain(loop)


def takes_small_ones_only(trial: Trial, servers: Servers) -> None:
    """One that makes its requests smaller goes on, without what is too large by itself; else a person has to help."""
    signal, trace = trial.place.signal, trial.place.trace
    trial.fill(3)
    trial.put(too_large(signal, trace=trace))
    line, settings = trial.place.line()
    with line.listening(), trial.shipping(settings) as loop:
        trial.ship_one(loop)
        line.begin(Trouble.SMALL)
        if trial.cell.letter:
            trial.drain(loop)
        else:
            trial.ship_one(loop)
            trial.ship_one(loop)
            trial.fails(loop)
            trial.sent.append(TOO_LARGE)
        line.end()
        trial.drain(loop)


def unknown_authority(trial: Trial, servers: Servers) -> None:
    trial.fill(3)
    line, settings = trial.place.line(Tls.RIGHT)
    with line.listening():
        with trial.shipping(merged(settings, trial.place.trusting(servers.stranger.certificate))) as loop:
            trial.fails(loop)
        with trial.shipping(merged(settings, trial.place.trusting(servers.authority.certificate))) as loop:
            trial.drain(loop)


def another_host(trial: Trial, servers: Servers) -> None:
    trial.fill(3)
    for tls in (Tls.ELSEWHERE, Tls.RIGHT):
        line, settings = trial.place.line(tls)
        trusting = merged(settings, trial.place.trusting(servers.authority.certificate))
        with line.listening(), trial.shipping(trusting) as loop:
            if tls is Tls.ELSEWHERE:
                trial.fails(loop)
            else:
                trial.drain(loop)


def wrong_credentials(trial: Trial, servers: Servers) -> None:
    trial.fill(3)
    line, settings = trial.place.line()
    with line.listening():
        line.begin(Trouble.STRICT)
        with trial.shipping(merged(settings, trial.place.credentials(are_right=False))) as loop:
            trial.fails(loop)
        with trial.shipping(merged(settings, trial.place.credentials(are_right=True))) as loop:
            trial.drain(loop)


def restart_in_the_middle(trial: Trial, servers: Servers) -> None:
    with servers.restarting(trial.sink) as (place, restart):
        trial.place = place
        trial.fill(3)
        with trial.shipping(place.settings()) as loop:
            trial.ship_one(loop)
            found = place.found()
            restart.stop()
            trial.fails(loop)
            trial.fill(2)
            restart.start()
            if restart.forgets:
                trial.before = found
                if isinstance(place, BucketPlace):
                    place.make()
            trial.drain(loop)
        trial.look()


def rollover_in_the_middle(trial: Trial, servers: Servers) -> None:
    """After an answer that was lost: what is in the old index must not come into the new one."""
    place: Any = trial.place
    trial.fill(3)
    line, settings = place.line()
    with line.listening(), trial.shipping(settings) as loop:
        line.begin(Trouble.CUT)
        trial.fails(loop)
        place.streams.roll_over()
        line.end()
        trial.drain(loop)
    assert len(place.streams.client.indices.get(index=place.streams.logs)) == 2


def kill_nine(stage: str, trial: Trial, servers: Servers) -> None:
    trial.fill(4)
    settings = {**trial.place.settings(), "name": trial.sink}
    killed_at(stage, trial.data, settings, trial.place.signal)
    # Other batches than before: what was handed over is the beginning of one now.
    with trial.shipping(settings, bounds=_ALL_IN_ONE) as loop:
        trial.drain(loop)


def merged(settings: Settings, more: Settings) -> Settings:
    """Settings with others added, also within those of S3."""
    within = {name: {**settings[name], **more[name]} for name in ("s3",) if name in more and name in settings}
    return {**settings, **more, **within}


Scenario = Callable[[Trial, Servers], None]

SCENARIOS: Final[dict[str, Scenario]] = {
    "away at the start": away_at_the_start,
    "away while many batches pile up": away_while_many_batches_pile_up,
    "refuses some records": refuses_some_records,
    "413": takes_small_ones_only,
    "certificate of an unknown authority": unknown_authority,
    "certificate of another host": another_host,
    "wrong credentials": wrong_credentials,
    "restart in the middle": restart_in_the_middle,
    "rollover in the middle": rollover_in_the_middle,
    **{each.value: partial(troubled, each) for each in (Trouble.SLOW, Trouble.FULL_UNTIL, Trouble.FULL, Trouble.CUT)},
    **{stage: partial(kill_nine, stage) for stage in STAGES},
}
