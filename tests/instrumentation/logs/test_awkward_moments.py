"""Logging where nobody expects it: finalizers, signals, the end of the process, other lines' formatters."""

import json
import logging

import structlog

import clew
from tests.instrumentation.fake_collector import FakeCollector
from tests.instrumentation.scripts import run_script


def bodies(collector: FakeCollector) -> list[str]:
    assert clew.flush()
    return [log.body.string_value for log in collector.logs]


def test_a_line_inside_of_another_lines_formatter_is_its_own(exported: FakeCollector) -> None:
    class Chatty:
        def __str__(self) -> str:
            structlog.get_logger("inner").info("inside")
            logging.getLogger("inner.std").warning("inside too")
            return "outside"

    log = logging.getLogger("shop.formatter")
    log.warning("%s", Chatty())
    structlog.get_logger("outer").info("structured", who=Chatty())

    assert set(bodies(exported)) == {"inside", "inside too", "outside", "structured"}
    assert bodies(exported).count("outside") == 1


def test_a_signal_in_the_middle_of_anything_neither_breaks_nor_hangs(collector: FakeCollector) -> None:
    script = """
        import logging, signal, sys, time
        import clew, structlog
        clew.configure(service="orders", endpoint=sys.argv[1], log_format="json", root_handler=True)
        log, std = structlog.get_logger("main"), logging.getLogger("std")
        seen = 0
        def handle(*_):
            global seen
            seen += 1
            log.info("from the handler")
            std.info("from the handler too")
        signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        end = time.monotonic() + 1
        lines = 0
        while time.monotonic() < end:
            log.info("line", n=lines)
            std.info("line %d", lines)
            lines += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(seen > 10 and lines > 10)
    """

    assert run_script(script, collector.url).stdout == "True\n"


def test_finalizers_and_the_end_of_the_process_may_log(collector: FakeCollector) -> None:
    script = """
        import atexit, gc, logging, sys
        import clew, structlog
        clew.configure(service="orders", endpoint=sys.argv[1], log_format="json", root_handler=True)
        class Noisy:
            def __init__(self, name): self.name, self.self = name, self
            def __del__(self):
                structlog.get_logger("fin").info("structlog " + self.name)
                logging.getLogger("fin").info("logging " + self.name)
        Noisy("collected")
        gc.collect()
        atexit.register(lambda: structlog.get_logger("fin").info("at exit"))
        forever = Noisy("at the very end")
        sys.kept = forever
    """

    done = run_script(script, collector.url)

    assert "Error" not in done.stderr
    events = [json.loads(line)["event"] for line in done.stderr.splitlines() if line.startswith("{")]
    assert {"structlog collected", "logging collected", "at exit"} <= set(events)
    assert {"structlog collected", "logging collected"} <= {log.body.string_value for log in collector.logs}
