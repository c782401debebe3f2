"""gevent patches the whole process: each script is a process of its own."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.instrumentation.concurrency.files import run_file
from tests.instrumentation.fake_collector import FakeCollector

pytest.importorskip("gevent")

PATCHED_FIRST = """
from gevent import monkey
monkey.patch_all()
import sys
import clew
clew.configure(service="orders", endpoint=sys.argv[1], log_format="none", batch_delay_s=0.2)
"""
PATCHED_AFTER = """
import sys
import clew
clew.configure(service="orders", endpoint=sys.argv[1], log_format="none", batch_delay_s=0.2)
from gevent import monkey
monkey.patch_all()
"""

SPAWN = """
import threading
import gevent, gevent.pool

seen = {}
def note(kind):
    seen[kind] = clew.correlation_id()
    clew.get_tracer("shop").start_span(kind).end()

with clew.request("r", correlation_id="r"):
    greenlets = [
        gevent.spawn(note, "spawn"),
        gevent.spawn_later(0.01, note, "later"),
        gevent.pool.Pool(2).spawn(note, "pool"),
    ]
    started = gevent.Greenlet(note, "started")
    started.start()
    thread = threading.Thread(target=note, args=("thread",))
    thread.start()
    gevent.joinall([*greenlets, started])
    thread.join()
gevent.spawn(note, "outside").join()
assert seen.pop("outside") is None
assert seen == dict.fromkeys(["spawn", "later", "pool", "started", "thread"], "r"), seen
"""

FLUSH = """
import time
clew.get_tracer("shop").start_span("work").end()
assert clew.flush(5)
clew.get_tracer("shop").start_span("by itself").end()
time.sleep(0.8)
print("slept", flush=True)
"""

WAITING = """
import gevent
clew.get_tracer("shop").start_span("work").end()
print("ready", flush=True)
gevent.sleep(60)
"""


@pytest.mark.parametrize("before", [PATCHED_FIRST, PATCHED_AFTER], ids=["patched first", "patched after"])
def test_greenlets_and_threads_take_the_context_along(collector: FakeCollector, tmp_path: Path, before: str) -> None:
    run_file(tmp_path, before + SPAWN, collector.url)

    request = next(span for span in collector.spans if span.name == "r")
    inside = [span for span in collector.spans if span.parent_span_id == request.span_id]
    assert sorted(span.name for span in inside) == ["later", "pool", "spawn", "started", "thread"]


@pytest.mark.parametrize("before", [PATCHED_FIRST, PATCHED_AFTER], ids=["patched first", "patched after"])
def test_a_patched_process_exports(collector: FakeCollector, tmp_path: Path, before: str) -> None:
    run_file(tmp_path, before + FLUSH, collector.url)

    assert [span.name for span in collector.spans] == ["work", "by itself"]


@pytest.mark.parametrize("before", [PATCHED_FIRST, PATCHED_AFTER], ids=["patched first", "patched after"])
def test_sigterm_in_a_patched_process_loses_nothing(collector: FakeCollector, tmp_path: Path, before: str) -> None:
    file = tmp_path / "program.py"
    file.write_text(before + WAITING)
    with subprocess.Popen([sys.executable, str(file), collector.url], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)

        assert process.wait(10) == -signal.SIGTERM

    assert [span.name for span in collector.spans] == ["work"]
