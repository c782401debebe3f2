"""Each script is a process of its own, whose children report to the collector."""

import multiprocessing
import os
from pathlib import Path

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.instrumentation.concurrency.files import run_file
from tests.instrumentation.fake_collector import FakeCollector, attributes_of

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

START_METHODS = multiprocessing.get_all_start_methods()

WORK = """
import logging, multiprocessing, os, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)
from concurrent.futures import ProcessPoolExecutor
import clew

def work(name):
    with clew.get_tracer("shop").start_as_current_span(name):
        logging.getLogger("shop").warning("line of %s", name)
    return clew.correlation_id(), clew.trace_id(), os.getpid()

def fail(name):
    raise LookupError(name, "is not there")
"""

POOL = (
    WORK
    + """
if __name__ == "__main__":
    clew.configure(service="orders", endpoint=sys.argv[1], log_format="none")
    context = multiprocessing.get_context(sys.argv[2])
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        with clew.request("r", correlation_id="r-1"):
            trace_id = clew.trace_id()
            first = pool.submit(work, "submitted").result()
            second = list(pool.map(work, ["mapped"], chunksize=2))[0]
            try:
                pool.submit(fail, "it").result()
            except LookupError as error:
                assert error.args == ("it", "is not there"), error.args
        outside = pool.submit(work, "outside").result()
    assert first[:2] == second[:2] == ("r-1", trace_id), (first, second, trace_id)
    assert outside[:2] == (None, None), outside
    assert first[2] != os.getpid()
"""
)

PROCESS = (
    WORK
    + """
if __name__ == "__main__":
    clew.configure(service="orders", endpoint=sys.argv[1], log_format="none", headers={"X-Key": "k"})
    context = multiprocessing.get_context(sys.argv[2])
    with clew.request("r", correlation_id="r-1"):
        child = context.Process(target=work, args=("in the child",), name="a name")
        child.start()
    assert not [name for name in vars(child) if "clew" in name]
    child.join()
    assert child.exitcode == 0, child.exitcode
"""
)

OWN_SETTINGS = (
    WORK
    + """
clew.configure(service="child" if __name__ == "__mp_main__" else "parent", endpoint=sys.argv[1], log_format="none")
if __name__ == "__main__":
    child = multiprocessing.get_context("spawn").Process(target=work, args=("in the child",))
    child.start()
    child.join()
    work("in the parent")
"""
)

FORK = (
    WORK
    + """
clew.configure(service="orders", endpoint=sys.argv[1], log_format="none")
with clew.request("r", correlation_id="r-1"):
    child = os.fork()
    if child == 0:
        work("in the child")
        os._exit(0 if clew.flush(5) else 1)
    assert os.waitpid(child, 0)[1] == 0
    work("in the parent")
"""
)


def named(collector: FakeCollector, name: str) -> Span:
    (found,) = [span for span in collector.spans if span.name == name]
    return found


def is_in_the_request(collector: FakeCollector, name: str) -> None:
    """A span of another process, and its log line, belong to the request `r`."""
    request, span = named(collector, "r"), named(collector, name)
    (line,) = [log for log in collector.logs if log.body.string_value == f"line of {name}"]
    assert (span.trace_id, span.parent_span_id) == (request.trace_id, request.span_id)
    assert (line.trace_id, line.span_id) == (span.trace_id, span.span_id)
    assert attributes_of(span.attributes)["correlation.id"] == "r-1"
    assert attributes_of(line.attributes)["correlation.id"] == "r-1"


@pytest.mark.parametrize("method", START_METHODS)
def test_a_process_pools_jobs_are_in_the_request_that_submitted_them(
    collector: FakeCollector, tmp_path: Path, method: str
) -> None:
    run_file(tmp_path, POOL, collector.url, method)

    is_in_the_request(collector, "submitted")
    is_in_the_request(collector, "mapped")
    assert named(collector, "outside").trace_id != named(collector, "r").trace_id


@pytest.mark.parametrize("method", START_METHODS)
def test_a_process_started_in_a_request_is_in_it(collector: FakeCollector, tmp_path: Path, method: str) -> None:
    run_file(tmp_path, PROCESS, collector.url, method)

    is_in_the_request(collector, "in the child")
    assert {headers.get("X-Key") for _, headers, _ in collector.requests} == {"k"}
    assert instances(collector) == 2


def test_a_spawned_child_that_configures_clew_itself_goes_by_that(collector: FakeCollector, tmp_path: Path) -> None:
    run_file(tmp_path, OWN_SETTINGS, collector.url)

    services = {
        span.name: attributes_of(resource_spans.resource.attributes)["service.name"]
        for request in collector.trace_requests
        for resource_spans in request.resource_spans
        for scope_spans in resource_spans.scope_spans
        for span in scope_spans.spans
    }
    assert services == {"in the child": "child", "in the parent": "parent"}


def test_a_fork_in_the_middle_of_a_request_continues_it_on_both_sides(collector: FakeCollector, tmp_path: Path) -> None:
    run_file(tmp_path, FORK, collector.url)

    is_in_the_request(collector, "in the child")
    is_in_the_request(collector, "in the parent")
    assert instances(collector) == 2


def instances(collector: FakeCollector) -> int:
    resources = [request.resource_spans[0].resource for request in collector.trace_requests]
    return len({attributes_of(resource.attributes)["service.instance.id"] for resource in resources})
