import os
import subprocess
import sys
import textwrap

import pytest

from tests.instrumentation.fake_collector import FakeCollector, attributes_of

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

FORKING = textwrap.dedent(
    """
    import os, sys, warnings
    warnings.simplefilter("ignore", DeprecationWarning)
    import clew
    clew.configure(service="orders", endpoint=sys.argv[1])

    def make_span(name):
        clew.get_tracer("test").start_span(name).end()

    make_span("queued before the fork")
    child = os.fork()
    if child == 0:
        make_span("child's")
        os._exit(0 if clew.flush(5) else 1)
    _, status = os.waitpid(child, 0)
    make_span("parent's")
    sys.exit(status or not clew.flush(5))
    """
)

POOL = textwrap.dedent(
    """
    import multiprocessing, sys, warnings
    warnings.simplefilter("ignore", DeprecationWarning)
    import clew

    def work(number):
        clew.get_tracer("test").start_span(f"work {number}").end()

    clew.configure(service="orders", endpoint=sys.argv[1])
    children = [multiprocessing.get_context("fork").Process(target=work, args=(number,)) for number in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    """
)


def run(script: str, endpoint: str) -> None:
    subprocess.run([sys.executable, "-c", script, endpoint], check=True, timeout=30, stdin=subprocess.DEVNULL)


def test_each_side_exports_its_own_records_once(collector: FakeCollector) -> None:
    run(FORKING, collector.url)

    assert sorted(span.name for span in collector.spans) == ["child's", "parent's", "queued before the fork"]
    assert len({span.span_id for span in collector.spans}) == 3


def test_a_child_is_another_instance(collector: FakeCollector) -> None:
    run(FORKING, collector.url)

    resources = [attributes_of(request.resource_spans[0].resource.attributes) for request in collector.trace_requests]
    assert len({resource["service.instance.id"] for resource in resources}) == 2
    assert len({resource["process.pid"] for resource in resources}) == 2


def test_children_of_multiprocessing_flush_when_they_end(collector: FakeCollector) -> None:
    run(POOL, collector.url)

    assert sorted(span.name for span in collector.spans) == ["work 0", "work 1", "work 2"]
