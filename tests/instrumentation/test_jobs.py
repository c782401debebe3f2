import asyncio
import functools
import inspect
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from opentelemetry import baggage
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

import clew
from tests.instrumentation.fake_collector import FakeCollector, attributes_of

log = logging.getLogger("reports")
FAILURE = ValueError("no paper")


def spans(collector: FakeCollector, name: str = "report") -> list[Span]:
    assert clew.flush()
    return [span for span in collector.spans if span.name == name]


def correlation_id_of(span: Span) -> str:
    return str(attributes_of(span.attributes)["correlation.id"])


def report(fail: bool = False) -> str | None:
    """Writes a report."""
    if fail:
        raise FAILURE
    return clew.correlation_id()


function = clew.request("report")(report)


@clew.request("report")
async def coroutine_function(fail: bool = False) -> str | None:
    """Writes a report."""
    await asyncio.sleep(0)
    return report(fail)


@clew.request("report")
def generator_function(fail: bool = False) -> Iterator[str | None]:
    """Writes a report."""
    yield clew.correlation_id()
    yield report(fail)


@clew.request("report")
async def async_generator_function(fail: bool = False) -> AsyncIterator[str | None]:
    """Writes a report."""
    yield clew.correlation_id()
    await asyncio.sleep(0)
    yield report(fail)


class AsyncCallable:
    async def __call__(self, fail: bool = False) -> str | None:
        await asyncio.sleep(0)
        return report(fail)


def with_block(fail: bool = False) -> str | None:
    with clew.request("report"):
        return report(fail)


async def async_with_block(fail: bool = False) -> str | None:
    async with clew.request("report"):
        return report(fail)


async def _all_of(generator: AsyncIterator[Any]) -> list[Any]:
    return [value async for value in generator]


WAYS: dict[str, Callable[..., Any]] = {
    "with": with_block,
    "async with": lambda fail=False: asyncio.run(async_with_block(fail)),
    "function": function,
    "partial": clew.request("report")(functools.partial(report)),
    "coroutine function": lambda fail=False: asyncio.run(coroutine_function(fail)),
    "async callable": lambda fail=False: asyncio.run(clew.request("report")(AsyncCallable())(fail)),
    "generator function": lambda fail=False: list(generator_function(fail))[-1],
    "async generator function": lambda fail=False: asyncio.run(_all_of(async_generator_function(fail)))[-1],
}
ways = pytest.mark.parametrize("run", WAYS.values(), ids=WAYS.keys())


@ways
class TestEachWay:
    def test_it_is_a_request(self, exported: FakeCollector, run: Callable[..., Any]) -> None:
        correlation_id = run()

        (span,) = spans(exported)
        assert span.parent_span_id == b""
        assert span.kind == Span.SPAN_KIND_INTERNAL
        assert correlation_id_of(span) == correlation_id
        assert clew.correlation_id() is None

    def test_inside_of_a_request_it_goes_on_in_it(self, exported: FakeCollector, run: Callable[..., Any]) -> None:
        with clew.request("outer", correlation_id="r-1"):
            assert run() == "r-1"
            assert clew.correlation_id() == "r-1"

        (span,), (outer,) = spans(exported), spans(exported, "outer")
        assert span.parent_span_id == outer.span_id
        assert correlation_id_of(span) == "r-1"

    def test_its_failure_is_recorded_and_comes_out_as_it_is(
        self, exported: FakeCollector, run: Callable[..., Any]
    ) -> None:
        with pytest.raises(ValueError, match="no paper") as caught:
            run(fail=True)

        (span,) = spans(exported)
        assert caught.value is FAILURE
        assert FAILURE.args == ("no paper",)
        assert span.status.code == Status.STATUS_CODE_ERROR
        assert attributes_of(span.attributes)["error.type"] == "ValueError"
        assert clew.correlation_id() is None

    def test_each_time_is_a_request_of_its_own(self, exported: FakeCollector, run: Callable[..., Any]) -> None:
        assert run() != run()

        assert len(spans(exported)) == 2

    def test_nothing_happens_when_clew_is_switched_off(self, collector: FakeCollector, run: Callable[..., Any]) -> None:
        clew.configure(service="orders", endpoint=collector.url)
        clew.configure(service="orders", endpoint=collector.url, enabled=False)

        assert run() is None
        with pytest.raises(ValueError, match="no paper"):
            run(fail=True)

        assert collector.requests == []


@pytest.mark.parametrize(
    ("decorated", "is_still"),
    [
        (function, inspect.isfunction),
        (coroutine_function, inspect.iscoroutinefunction),
        (generator_function, inspect.isgeneratorfunction),
        (async_generator_function, inspect.isasyncgenfunction),
    ],
)
def test_a_decorated_function_is_still_what_it_was(decorated: Any, is_still: Callable[[Any], bool]) -> None:
    assert is_still(decorated)
    assert decorated.__doc__ == "Writes a report."
    assert decorated.__module__ == __name__
    assert list(inspect.signature(decorated).parameters) == ["fail"]


class TestIds:
    def test_a_given_id_names_the_request(self, exported: FakeCollector) -> None:
        with clew.request("report", correlation_id="night-17") as request:
            assert request.correlation_id == clew.correlation_id() == "night-17"
            assert baggage.get_baggage("correlation.id") == "night-17"
            log.warning("writing")

        (span,) = spans(exported)
        assert correlation_id_of(span) == "night-17"
        (line,) = [line for line in exported.logs if line.body.string_value == "writing"]
        assert attributes_of(line.attributes)["correlation.id"] == "night-17"
        assert line.span_id == span.span_id

    @pytest.mark.parametrize("correlation_id", ["", "two words", "x" * 129, "na\u00efve", "a\r\nb", 17, b"bytes"])
    def test_an_id_that_is_not_valid_is_not_taken(self, exported: FakeCollector, correlation_id: Any) -> None:
        with clew.request("report", correlation_id=correlation_id) as request:
            assert request.correlation_id != correlation_id
            assert len(request.correlation_id) == 32

    def test_headers_continue_the_request_that_sent_them(self, exported: FakeCollector) -> None:
        headers = {
            "traceparent": f"00-{'a' * 32}-{'b' * 16}-01",
            "X-Request-ID": "theirs",
            "baggage": "tenant=acme,correlation.id=theirs",
        }

        with clew.request("report", headers=headers):
            assert clew.correlation_id() == "theirs"
        with clew.request("report", headers=headers, correlation_id="mine"):
            assert clew.correlation_id() == "mine"
            assert baggage.get_all() == {"tenant": "acme", "correlation.id": "mine"}

        for span in spans(exported):
            assert span.trace_id.hex() == "a" * 32
            assert span.parent_span_id.hex() == "b" * 16

    def test_an_inner_id_is_only_for_the_inner_block(self, exported: FakeCollector) -> None:
        with clew.request("outer", correlation_id="outer"):
            with clew.request("report", correlation_id="inner"):
                assert clew.correlation_id() == "inner"
            assert clew.correlation_id() == "outer"

        (inner,), (outer,) = spans(exported), spans(exported, "outer")
        assert inner.parent_span_id == outer.span_id
        assert (correlation_id_of(inner), correlation_id_of(outer)) == ("inner", "outer")

    def test_attributes_are_on_its_span(self, exported: FakeCollector) -> None:
        with clew.request("report", attributes={"pages": 3}) as request:
            request.span.set_attribute("copies", 2)

        attributes = attributes_of(spans(exported)[0].attributes)
        assert (attributes["pages"], attributes["copies"]) == (3, 2)

    def test_a_name_of_another_type_is_taken_as_text(self, exported: FakeCollector) -> None:
        with clew.request(17):  # type: ignore[arg-type]
            pass

        assert len(spans(exported, "17")) == 1

    def test_a_request_that_has_ended_but_is_still_current_is_not_joined(self, exported: FakeCollector) -> None:
        inherited: list[Any] = []

        async def accept() -> None:
            with clew.request("report"):
                inherited.append((clew.correlation_id(), baggage.get_baggage("tenant")))

        async def serve() -> None:
            with clew.request("startup", headers={"baggage": "tenant=acme,correlation.id=startup"}):
                task = asyncio.create_task(accept())
            await task

        asyncio.run(serve())

        (span,), (startup,) = spans(exported), spans(exported, "startup")
        assert span.trace_id != startup.trace_id
        assert inherited == [(correlation_id_of(span), None)]


class TestTheSameObject:
    def test_it_may_be_entered_inside_of_itself(self, exported: FakeCollector) -> None:
        job = clew.request("report")

        with job:
            outer = job.span
            with job:
                assert job.span is not outer
                assert job.span.parent_id == outer.span_id
            assert job.span is outer
        assert len(spans(exported)) == 2

    def test_threads_at_once_do_not_mix(self, exported: FakeCollector) -> None:
        job = clew.request("report")
        first_is_in, second_is_in, first_is_out = threading.Event(), threading.Event(), threading.Event()

        def first() -> tuple[str, str | None]:
            with job:
                first_is_in.set()
                assert second_is_in.wait(10)
                told = job.correlation_id, clew.correlation_id()
            first_is_out.set()
            return told

        def second() -> tuple[str, str | None]:
            assert first_is_in.wait(10)
            with job:
                second_is_in.set()
                assert first_is_out.wait(10)
                return job.correlation_id, clew.correlation_id()

        with ThreadPoolExecutor(2) as pool:
            one, two = pool.submit(first), pool.submit(second)

        assert one.result()[0] == one.result()[1] != two.result()[0] == two.result()[1]
        assert {correlation_id_of(span) for span in spans(exported)} == {one.result()[0], two.result()[0]}

    def test_tasks_at_once_do_not_mix(self, exported: FakeCollector) -> None:
        job = clew.request("report")

        async def work(number: int, barrier: asyncio.Barrier) -> tuple[int, str]:
            async with job:
                job.span.set_attribute("number", number)
                await barrier.wait()
                assert job.correlation_id == clew.correlation_id()
                return number, job.correlation_id

        async def all_of_them() -> list[tuple[int, str]]:
            barrier = asyncio.Barrier(10)
            return await asyncio.gather(*(work(number, barrier) for number in range(10)))

        told = asyncio.run(all_of_them())

        sent = [attributes_of(span.attributes) for span in spans(exported)]
        assert sorted((each["number"], each["correlation.id"]) for each in sent) == sorted(told)

    def test_it_may_end_in_another_context_than_it_began_in(self, exported: FakeCollector) -> None:
        job = clew.request("report")

        async def work() -> None:
            await asyncio.create_task(job.__aenter__())
            await asyncio.create_task(job.__aexit__(None, None, None))

        asyncio.run(work())

        assert len(spans(exported)) == 1

    def test_a_cancelled_block_has_not_failed(self, exported: FakeCollector) -> None:
        async def work() -> None:
            async with clew.request("report"):
                await asyncio.Event().wait()

        async def cancel() -> None:
            task = asyncio.create_task(work())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(cancel())

        assert spans(exported)[0].status.code == Status.STATUS_CODE_UNSET


class TestGenerator:
    def test_its_caller_stays_in_its_own_context_between_steps(self, exported: FakeCollector) -> None:
        with clew.request("outer", correlation_id="outer"):
            for inner in clew.request("report", correlation_id="inner")(inspect.unwrap(generator_function))():
                assert inner == "inner"
                assert clew.correlation_id() == "outer"

    def test_its_asynchronous_callers_do_too(self, exported: FakeCollector) -> None:
        async def work() -> None:
            inner = clew.request("report", correlation_id="inner")(inspect.unwrap(async_generator_function))
            async with clew.request("outer", correlation_id="outer"):
                async for correlation_id in inner():
                    assert correlation_id == "inner"
                    assert clew.correlation_id() == "outer"

        asyncio.run(work())

        assert len(spans(exported)) == 1

    def test_a_span_of_its_own_stays_current_over_its_steps(self, exported: FakeCollector) -> None:
        @clew.request("report")
        def pages() -> Iterator[None]:
            with clew.get_tracer("test").start_as_current_span("print"):
                yield
                log.warning("second page")
            log.warning("done")
            yield

        for _ in pages():
            pass

        (inner,), (outer,) = spans(exported, "print"), spans(exported)
        lines = {line.body.string_value: line.span_id for line in exported.logs}
        assert lines == {"second page": inner.span_id, "done": outer.span_id}

    def test_it_may_be_sent_to_thrown_into_and_asked_for_its_result(self, exported: FakeCollector) -> None:
        thrown = KeyError("page")

        @clew.request("report")
        def pages() -> Any:
            sent = yield "ready"
            try:
                yield sent
            except KeyError as error:
                yield error
            return "result"

        def delegate() -> Any:
            return (yield from pages())

        generator = delegate()
        assert next(generator) == "ready"
        assert generator.send("sent") == "sent"
        assert generator.throw(thrown) is thrown
        with pytest.raises(StopIteration) as stop:
            next(generator)
        assert stop.value.value == "result"
        assert spans(exported)[0].status.code == Status.STATUS_CODE_UNSET

    def test_its_asynchronous_kind_may_too(self, exported: FakeCollector) -> None:
        thrown = KeyError("page")

        @clew.request("report")
        async def pages() -> Any:
            sent = yield "ready"
            try:
                yield sent
            except KeyError as error:
                yield error

        async def work() -> None:
            generator = pages()
            assert await anext(generator) == "ready"
            assert await generator.asend("sent") == "sent"
            assert await generator.athrow(thrown) is thrown
            with pytest.raises(StopAsyncIteration):
                await anext(generator)

        asyncio.run(work())

        assert spans(exported)[0].status.code == Status.STATUS_CODE_UNSET

    def test_what_is_thrown_into_it_and_not_caught_is_its_failure(self, exported: FakeCollector) -> None:
        generator = generator_function()
        next(generator)

        with pytest.raises(ValueError, match="no paper") as caught:
            generator.throw(FAILURE)  # type: ignore[attr-defined]

        assert caught.value is FAILURE
        assert spans(exported)[0].status.code == Status.STATUS_CODE_ERROR

    def test_closed_early_it_cleans_up_in_its_request_and_has_not_failed(self, exported: FakeCollector) -> None:
        seen: list[str | None] = []

        @contextmanager
        def note() -> Iterator[None]:
            try:
                yield
            finally:
                seen.append(clew.correlation_id())

        @clew.request("report", correlation_id="r-1")
        def pages() -> Iterator[int]:
            with note():
                yield 1
                yield 2

        @clew.request("report", correlation_id="r-2")
        async def async_pages() -> AsyncIterator[int]:
            with note():
                yield 1
                yield 2

        async def work() -> None:
            generator = async_pages()
            await anext(generator)
            await generator.aclose()  # type: ignore[attr-defined]

        for _ in pages():
            break
        asyncio.run(work())

        assert seen == ["r-1", "r-2"]
        assert [span.status.code for span in spans(exported)] == [Status.STATUS_CODE_UNSET] * 2

    def test_one_that_is_never_started_is_no_request(self, exported: FakeCollector) -> None:
        generator_function()

        assert spans(exported) == []

    def test_its_steps_may_run_in_different_threads(self, exported: FakeCollector) -> None:
        generator = generator_function()
        with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as another:
            first = one.submit(next, generator).result()
            second = another.submit(next, generator).result()
        generator.close()  # type: ignore[attr-defined]

        assert first == second == correlation_id_of(spans(exported)[0])
