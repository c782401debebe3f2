"""A process that ships a spool into a sink, and kills itself at a stage."""

import multiprocessing
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter

import clew_collector.sinks.elasticsearch.sink
import clew_collector.sinks.file.sink
import clew_collector.sinks.kafka.sink
import clew_collector.sinks.otlp.sink
import clew_collector.sinks.zipkin  # noqa: F401  # each is there when the process begins
from clew_collector.model import Signal
from clew_collector.sinks.base import Sink
from clew_collector.sinks.config import SinkConfig, make_sink
from clew_collector.sinks.pacing import BatchBounds
from clew_collector.sinks.shipping import Shipping
from clew_collector.spool import Spool
from tests.journeys.killers import Killer

ONE_EACH: Final = BatchBounds(max_records=50, max_bytes=1 << 20)
_PASSAGE: Final = 2

STAGES: Final[dict[str, Callable[[Killer, type[Sink]], None]]] = {
    "kill -9 before the hand-over": lambda k, sink: setattr(sink, "write", k.before(sink.write)),
    "kill -9 after the hand-over": lambda k, sink: setattr(sink, "write", k.after(sink.write)),
    "kill -9 after the cursor moved": lambda k, _: setattr(Spool, "note_advance", k.after(Spool.note_advance)),
}


def sink_of(settings: Mapping[str, Any], spool: Spool) -> Sink:
    """The sink of an item of `sinks`."""
    config: SinkConfig = TypeAdapter(SinkConfig).validate_python(settings)
    return make_sink(config, origin=spool.origin())


def ship_and_die(data: Path, settings: Mapping[str, Any], signal_: Signal, stage: str) -> None:
    """Ship until the stage is reached for the second time."""
    spool = Spool(data / "spool")
    sink = sink_of(settings, spool)
    STAGES[stage](Killer(_PASSAGE, data / "killed"), type(sink))
    Shipping(signal_, spool, sink, bounds=ONE_EACH).drain()


def killed_at(stage: str, data: Path, settings: Mapping[str, Any], signal_: Signal) -> None:
    """Have it done by a process of its own. Raises `AssertionError` if that did not die."""
    # Forked from a process that has everything imported, and no threads: a tenth of the time of a new one.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    process = context.Process(target=ship_and_die, args=(data, settings, signal_, stage))
    process.start()
    process.join(60)
    process.kill()
    assert process.exitcode == -signal.SIGKILL, "the stage was never reached: the test proved nothing"
    assert (data / "killed").exists(), "it died of something else"
