import asyncio
import inspect
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import pytest
from opentelemetry import trace

import clew
from clew.runtime import RUNTIME
from tests.instrumentation.fake_collector import FakeCollector, attributes_of

DEADLINE_S = 10.0


@pytest.fixture(autouse=True)
def _threads_that_follow(exported: FakeCollector) -> None:
    """Each test needs clew switched on."""


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def ids() -> tuple[str | None, str | None]:
    return clew.correlation_id(), clew.trace_id()


NOTHING = (None, None)


def seen_by_thread(start: Callable[[Callable[[], None]], threading.Thread]) -> tuple[str | None, str | None]:
    """What a thread sees that is started inside of a request `r`."""
    seen: list[tuple[str | None, str | None]] = []
    with clew.request("r", correlation_id="r"):
        thread = start(lambda: seen.append(ids()))
    thread.join(DEADLINE_S)
    return seen[0]


class OwnRun(threading.Thread):
    def __init__(self, work: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self.work = work

    def run(self) -> None:
        self.work()


def started(thread: threading.Thread) -> threading.Thread:
    thread.start()
    return thread


@pytest.mark.parametrize(
    "start",
    [
        lambda work: started(threading.Thread(target=work)),
        lambda work: started(threading.Thread(target=work, daemon=True)),
        lambda work: started(threading.Timer(0.01, work)),
        lambda work: started(OwnRun(work)),
    ],
    ids=["thread", "daemon", "timer", "subclass with its own run"],
)
def test_a_thread_started_in_a_request_is_in_it(start: Callable[[Callable[[], None]], threading.Thread]) -> None:
    correlation_id, trace_id = seen_by_thread(start)

    assert correlation_id == "r"
    assert trace_id is not None


def test_a_span_and_a_line_of_a_thread_are_the_requests(exported: FakeCollector) -> None:
    def work() -> None:
        with clew.get_tracer("shop").start_as_current_span("in the thread"):
            logging.getLogger("shop").warning("a line")

    with clew.request("r", correlation_id="r") as request:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join(DEADLINE_S)
    clew.flush()

    span = next(span for span in exported.spans if span.name == "in the thread")
    line = next(log for log in exported.logs if log.body.string_value == "a line")
    assert span.parent_span_id == request_span_id(exported)
    assert attributes_of(span.attributes)["correlation.id"] == "r"
    assert (line.trace_id, line.span_id) == (span.trace_id, span.span_id)
    assert request is not None


def request_span_id(collector: FakeCollector) -> bytes:
    return next(span.span_id for span in collector.spans if span.name == "r")


def test_a_thread_keeps_what_it_was_started_with_until_it_runs() -> None:
    seen: list[str | None] = []
    thread = threading.Thread(target=lambda: seen.append(clew.correlation_id()))
    with clew.request("made"):
        pass
    with clew.request("started", correlation_id="started"):
        thread.start()
    thread.join(DEADLINE_S)

    assert seen == ["started"]


def test_a_thread_started_outside_of_requests_has_none() -> None:
    seen: list[Any] = []
    thread = threading.Thread(target=lambda: seen.append(ids()))
    thread.start()
    thread.join(DEADLINE_S)

    assert seen == [NOTHING]
    assert "_clew_context" not in vars(thread)


def test_an_exception_of_a_thread_reaches_the_threads_own_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    caught: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", caught.append)
    error = ValueError("no")

    def fail(note: Callable[[], None]) -> None:
        note()
        raise error

    seen_by_thread(lambda note: started(threading.Thread(target=fail, args=(note,))))

    assert [args.exc_value for args in caught] == [error]


def test_a_pools_job_is_in_the_request_that_submitted_it(pool: ThreadPoolExecutor) -> None:
    with clew.request("r", correlation_id="r"):
        future = pool.submit(ids)
        mapped = list(pool.map(lambda number: (number, clew.correlation_id()), range(3)))

    assert future.result()[0] == "r"
    assert mapped == [(0, "r"), (1, "r"), (2, "r")]


def test_a_pools_threads_forget_a_request_after_its_job() -> None:
    seen: list[Any] = []
    with ThreadPoolExecutor(1, initializer=lambda: seen.append(ids())) as pool:
        with clew.request("first", correlation_id="first"):
            pool.submit(ids).result()
        seen.append(pool.submit(ids).result())
        with clew.request("second", correlation_id="second"):
            seen.append(pool.submit(clew.correlation_id).result())

    assert seen == [NOTHING, NOTHING, "second"]


def test_a_jobs_exception_arrives_as_it_was_raised(pool: ThreadPoolExecutor) -> None:
    error = KeyError("gone")

    def fail() -> None:
        raise error

    with clew.request("r"):
        future = pool.submit(fail)

    assert future.exception() is error
    assert error.args == ("gone",)


def test_a_job_that_cannot_be_called_fails_as_without_clew(pool: ThreadPoolExecutor) -> None:
    with clew.request("r"):
        future: Future[object] = pool.submit(None)  # type: ignore[arg-type]

    with pytest.raises(TypeError, match="not callable"):
        future.result()


def test_a_callback_runs_in_the_request_that_added_it() -> None:
    seen: list[Any] = []
    future: Future[int] = Future()
    with clew.request("r", correlation_id="r"):
        future.add_done_callback(lambda done: seen.append((clew.correlation_id(), done is future)))
    future.add_done_callback(lambda done: seen.append((clew.correlation_id(), done is future)))
    with clew.request("other"):
        future.set_result(1)

    assert seen[0] == ("r", True)
    assert len(seen) == 2


def test_executors_of_an_event_loop_take_the_context_along(pool: ThreadPoolExecutor) -> None:
    async def scenario() -> list[str | None]:
        loop = asyncio.get_running_loop()
        with clew.request("r", correlation_id="r"):
            first = await loop.run_in_executor(None, clew.correlation_id)
            second = await loop.run_in_executor(pool, clew.correlation_id)
            third = await asyncio.to_thread(clew.correlation_id)
        return [first, second, third, await loop.run_in_executor(None, clew.correlation_id)]

    assert asyncio.run(scenario()) == ["r", "r", "r", None]


def test_callbacks_of_an_event_loop_take_the_context_along(pool: ThreadPoolExecutor) -> None:
    async def scenario() -> list[tuple[str, str | None]]:
        loop = asyncio.get_running_loop()
        seen: list[tuple[str, str | None]] = []
        arrived = [asyncio.Event() for _ in range(4)]

        def note(kind: str, index: int) -> None:
            seen.append((kind, clew.correlation_id()))
            arrived[index].set()

        with clew.request("r", correlation_id="r"):
            loop.call_soon(note, "soon", 0)
            loop.call_later(0.001, note, "later", 1)
            loop.call_soon_threadsafe(note, "threadsafe", 2)
            thread = threading.Thread(target=lambda: loop.call_soon_threadsafe(note, "from a thread", 3))
            thread.start()
        for event in arrived:
            await asyncio.wait_for(event.wait(), DEADLINE_S)
        return sorted(seen)

    kinds = ["from a thread", "later", "soon", "threadsafe"]
    assert asyncio.run(scenario()) == [(kind, "r") for kind in kinds]


def test_tasks_take_the_context_along() -> None:
    async def identify() -> str | None:
        await asyncio.sleep(0)
        return clew.correlation_id()

    async def scenario() -> list[str | None]:
        with clew.request("r", correlation_id="r"):
            task = asyncio.create_task(identify())
            async with asyncio.TaskGroup() as group:
                grouped = group.create_task(identify())
        return [await task, grouped.result()]

    assert asyncio.run(scenario()) == ["r", "r"]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_anyios_worker_threads_take_the_context_along(backend: str) -> None:
    import anyio
    import anyio.to_thread

    async def scenario() -> list[str | None]:
        with clew.request("r", correlation_id="r"):
            inside = await anyio.to_thread.run_sync(clew.correlation_id)
        return [inside, await anyio.to_thread.run_sync(clew.correlation_id)]

    assert anyio.run(scenario, backend=backend) == ["r", None]


def test_trios_worker_threads_take_the_context_along() -> None:
    import trio

    async def scenario() -> list[str | None]:
        with clew.request("r", correlation_id="r"):
            inside = await trio.to_thread.run_sync(clew.correlation_id)
        return [inside, await trio.to_thread.run_sync(clew.correlation_id)]

    assert trio.run(scenario) == ["r", None]


def test_other_context_variables_stay_out_of_threads(pool: ThreadPoolExecutor) -> None:
    from contextvars import ContextVar

    session = ContextVar("session", default="none")
    session.set("the request's")
    seen: list[str] = []

    def look(note: Callable[[], None]) -> None:
        note()
        seen.append(session.get())

    seen_by_thread(lambda note: started(threading.Thread(target=look, args=(note,))))
    with clew.request("r"):
        seen.append(pool.submit(session.get).result())

    assert seen == ["none", "none"]


def test_it_can_be_switched_off(collector: FakeCollector, pool: ThreadPoolExecutor) -> None:
    clew.configure(service="orders", endpoint=collector.url, propagate_to_threads=False)

    assert seen_by_thread(lambda work: started(threading.Thread(target=work))) == NOTHING
    with clew.request("r"):
        assert pool.submit(ids).result() == NOTHING


def test_a_disabled_clew_takes_nothing_along(pool: ThreadPoolExecutor) -> None:
    with clew.request("r"):
        RUNTIME.enabled = False
        assert pool.submit(ids).result() == NOTHING


def test_installing_twice_is_as_once_and_signatures_stay(collector: FakeCollector) -> None:
    before = [threading.Thread.start, ThreadPoolExecutor.submit, Future.add_done_callback]
    clew.configure(service="again", endpoint=collector.url)

    assert [threading.Thread.start, ThreadPoolExecutor.submit, Future.add_done_callback] == before
    assert str(inspect.signature(ThreadPoolExecutor.submit)) == "(self, fn, /, *args, **kwargs)"
    assert repr(threading.Thread(name="t")) == "<Thread(t, initial)>"


def test_a_context_of_opentelemetrys_own_goes_along_too(pool: ThreadPoolExecutor) -> None:
    outer = trace.NonRecordingSpan(trace.SpanContext(1, 2, is_remote=True, trace_flags=trace.TraceFlags(1)))
    with trace.use_span(outer):
        future = pool.submit(lambda: trace.get_current_span().get_span_context().trace_id)

    assert future.result() == 1


def test_many_threads_at_once_do_not_mix_their_requests(pool: ThreadPoolExecutor) -> None:
    def one(number: int) -> Future[str | None]:
        with clew.request("r", correlation_id=f"r{number}"):
            return pool.submit(clew.correlation_id)

    futures = [one(number) for number in range(200)]
    wait(futures, DEADLINE_S)

    assert [future.result() for future in futures] == [f"r{number}" for number in range(200)]
