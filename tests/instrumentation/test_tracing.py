import asyncio
import logging
import pickle
import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, StatusCode, TraceFlags

import clew
from clew.context import stamp, stamped_ids
from clew.spans import LightSpan
from tests.instrumentation.fake_collector import FakeCollector, attributes_of

LIMIT = 128  # of attributes, events and links, by default


def spans_by_name(collector: FakeCollector) -> dict[str, Span]:
    assert clew.flush()
    return {span.name: span for span in collector.spans}


class TestTracer:
    def test_children_belong_to_their_parent(self, exported: FakeCollector) -> None:
        tracer = clew.get_tracer("shop")

        with tracer.start_as_current_span("parent"), tracer.start_as_current_span("child"):
            pass

        spans = spans_by_name(exported)
        assert spans["child"].trace_id == spans["parent"].trace_id
        assert spans["child"].parent_span_id == spans["parent"].span_id
        assert not spans["parent"].parent_span_id

    def test_opentelemetrys_api_joins_in(self, exported: FakeCollector) -> None:
        tracer = trace.get_tracer("some.library", "1.2", schema_url="https://schema")

        with clew.get_tracer("shop").start_as_current_span("ours") as span:
            with tracer.start_as_current_span("theirs", kind=SpanKind.PRODUCER, attributes={"a": 1}):
                pass
            assert trace.get_current_span() is clew.current_span() is span

        spans = spans_by_name(exported)
        assert spans["theirs"].parent_span_id == spans["ours"].span_id
        assert spans["theirs"].kind == Span.SPAN_KIND_PRODUCER
        scopes = {
            scope_spans.scope.name: (scope_spans.scope.version, scope_spans.schema_url)
            for scope_spans in exported.trace_requests[0].resource_spans[0].scope_spans
        }
        assert scopes == {"shop": ("", ""), "some.library": ("1.2", "https://schema")}

    def test_a_foreign_remote_parent_is_continued(self, exported: FakeCollector) -> None:
        remote = NonRecordingSpan(SpanContext(7, 8, True, TraceFlags(1)))

        clew.get_tracer("shop").start_span("child", context=trace.set_span_in_context(remote)).end()

        span = spans_by_name(exported)["child"]
        assert int.from_bytes(span.trace_id) == 7
        assert int.from_bytes(span.parent_span_id) == 8
        assert span.flags & 0x200

    def test_it_decorates_functions_sync_and_async(self, exported: FakeCollector) -> None:
        tracer = clew.get_tracer("shop")

        @tracer.start_as_current_span("sync")
        def work() -> str | None:
            return clew.trace_id()

        @tracer.start_as_current_span("async")
        async def work_later() -> str | None:
            await asyncio.sleep(0.01)
            return clew.trace_id()

        ids = {"sync": work(), "async": asyncio.run(work_later())}

        spans = spans_by_name(exported)
        assert {name: span.trace_id.hex() for name, span in spans.items()} == ids
        assert spans["async"].end_time_unix_nano - spans["async"].start_time_unix_nano >= 9_000_000

    def test_a_job_outside_of_any_request_is_a_request_of_its_own(self, exported: FakeCollector) -> None:
        with clew.get_tracer("jobs").start_as_current_span("nightly"):
            correlation_id = clew.correlation_id()
            with clew.get_tracer("jobs").start_as_current_span("step"):
                assert clew.correlation_id() == correlation_id

        assert {attributes_of(span.attributes)["correlation.id"] for span in spans_by_name(exported).values()} == {
            correlation_id
        }

    def test_an_exception_is_recorded_once_and_passes(self, exported: FakeCollector) -> None:
        error = KeyError("sku")

        with pytest.raises(KeyError) as caught, clew.get_tracer("shop").start_as_current_span("work"):
            raise error

        assert caught.value is error
        span = spans_by_name(exported)["work"]
        assert (span.status.code, span.status.message) == (Status.STATUS_CODE_ERROR, "KeyError: 'sku'")
        assert len(span.events) == 1

    def test_recording_exceptions_can_be_switched_off(self, exported: FakeCollector) -> None:
        start = clew.get_tracer("shop").start_as_current_span

        with pytest.raises(KeyError), start("work", record_exception=False, set_status_on_exception=False):
            raise KeyError

        span = spans_by_name(exported)["work"]
        assert span.status.code == Status.STATUS_CODE_UNSET
        assert not span.events

    def test_a_span_is_a_context_manager_that_records_too(self, exported: FakeCollector) -> None:
        with pytest.raises(KeyError), clew.get_tracer("shop").start_span("work"):
            raise KeyError

        assert spans_by_name(exported)["work"].status.code == Status.STATUS_CODE_ERROR

    def test_a_generator_closed_elsewhere_makes_no_noise(
        self, exported: FakeCollector, caplog: pytest.LogCaptureFixture
    ) -> None:
        def work() -> Generator[int, None, None]:
            with clew.get_tracer("shop").start_as_current_span("stream"):
                yield 1

        async def scenario() -> None:
            generator = work()

            async def begin() -> None:
                next(generator)

            await asyncio.create_task(begin())
            generator.close()

        asyncio.run(scenario())

        assert "stream" in spans_by_name(exported)
        assert caplog.records == []

    def test_switched_off_spans_do_nothing(self, collector: FakeCollector) -> None:
        clew.configure(service="orders", endpoint=collector.url, enabled=False)

        with clew.get_tracer("shop").start_as_current_span("work") as span:
            assert not span.is_recording()
            assert clew.trace_id() is None

    def test_pools_and_threads_do_not_mix_requests_up(self, exported: FakeCollector) -> None:
        def work(number: int) -> bool:
            with clew.get_tracer("shop").start_as_current_span(f"work {number}"):
                return clew.trace_id() == f"{clew.current_span().get_span_context().trace_id:032x}"

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(work, range(200)))

        assert len({span.trace_id for span in spans_by_name(exported).values()}) == 200


class TestSpan:
    def start(self) -> LightSpan:
        span = clew.get_tracer("shop").start_span("work")
        assert isinstance(span, LightSpan)
        return span

    def test_attributes_events_and_links_are_limited_and_counted(self, exported: FakeCollector) -> None:
        span = self.start()
        context = SpanContext(1, 2, False)

        for number in range(LIMIT + 3):
            span.set_attribute(f"k{number}", number)
            span.add_event("e")
            span.add_link(context)
        span.set_attribute("k0", "changed")
        span.end()

        sent = spans_by_name(exported)["work"]
        # The correlation ID is clew's own, and on top.
        assert len(sent.attributes) == LIMIT + 1
        assert attributes_of(sent.attributes)["k0"] == "changed"
        assert (len(sent.events), len(sent.links)) == (LIMIT, LIMIT)
        counts = (sent.dropped_attributes_count, sent.dropped_events_count, sent.dropped_links_count)
        assert counts == (3, 3, 3)

    def test_nothing_changes_it_after_its_end_and_it_is_sent_once(self, exported: FakeCollector) -> None:
        span = self.start()

        span.end()
        span.set_attribute("late", 1)
        span.set_attributes({"late": 1})
        span.add_event("late")
        span.add_link(SpanContext(1, 2, False))
        span.update_name("late")
        span.set_status(StatusCode.ERROR)
        span.record_exception(KeyError())
        span.end()

        sent = spans_by_name(exported)["work"]
        assert len(exported.spans) == 1
        assert not sent.events
        assert not sent.links
        assert sent.status.code == Status.STATUS_CODE_UNSET
        assert "late" not in attributes_of(sent.attributes)

    def test_ok_is_final_and_unset_is_ignored(self) -> None:
        span = self.start()

        span.set_status(StatusCode.ERROR, "first")
        span.set_status(StatusCode.UNSET)
        assert (span.status, span.status_description) == (2, "first")
        span.set_status(trace.Status(StatusCode.OK))
        span.set_status(StatusCode.ERROR)

        assert (span.status, span.status_description) == (1, None)

    def test_an_attribute_is_its_value_at_that_time(self, exported: FakeCollector) -> None:
        span, items = self.start(), ["a"]

        span.set_attribute("items", items)
        items.append("b")
        span.end()

        assert attributes_of(spans_by_name(exported)["work"].attributes)["items"] == ["a"]

    def test_values_of_any_kind_do_no_harm(self, exported: FakeCollector) -> None:
        class Broken:
            def __str__(self) -> str:
                raise RuntimeError

        span: Any = self.start()

        span.set_attribute("broken", Broken())
        span.set_attribute(3, "key")
        span.set_attribute("none", None)
        span.add_event("e", {"broken": Broken()})
        span.end()

        attributes = attributes_of(spans_by_name(exported)["work"].attributes)
        assert attributes["broken"].startswith("<unreadable ")
        assert attributes["3"] == "key"
        assert "none" not in attributes

    def test_given_times_are_kept(self, exported: FakeCollector) -> None:
        span = clew.get_tracer("shop").start_span("work", start_time=5)
        span.add_event("e", timestamp=0)

        span.end(end_time=9)

        sent = spans_by_name(exported)["work"]
        assert (sent.start_time_unix_nano, sent.end_time_unix_nano, sent.events[0].time_unix_nano) == (5, 9, 0)

    def test_ids_are_not_repeated_by_a_seeded_service(self) -> None:
        import random

        random.seed(1)
        first = self.start().trace_id
        random.seed(1)

        assert self.start().trace_id != first


class TestStamp:
    def test_it_survives_pickling(self) -> None:
        span = clew.get_tracer("shop").start_span("work")
        assert isinstance(span, LightSpan)
        error = KeyError("x")

        stamp(error, span)

        assert stamped_ids(pickle.loads(pickle.dumps(error))).trace_id == span.trace_id

    def test_an_exception_that_takes_no_attributes_is_left_alone(self) -> None:
        class Sealed(Exception):
            def __setattr__(self, name: str, value: object) -> None:
                raise AttributeError

        span = clew.get_tracer("shop").start_span("work")
        assert isinstance(span, LightSpan)

        stamp(Sealed(), span)


def test_outside_of_a_request_there_are_no_ids() -> None:
    assert clew.correlation_id() is None
    assert clew.trace_id() is None
    clew.current_span().set_attribute("a", 1)


def test_configuring_from_many_threads_is_configuring_once(collector: FakeCollector) -> None:
    threads = [
        threading.Thread(target=clew.configure, kwargs={"service": "orders", "endpoint": collector.url})
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    logging.getLogger("shop").warning("once")
    clew.get_tracer("shop").start_span("once").end()

    assert clew.flush()
    assert (len(collector.logs), len(collector.spans)) == (1, 1)
    assert [thread.name for thread in threading.enumerate()].count("clew-export") == 1


def test_a_second_configure_sends_the_old_records_to_the_old_place(collector: FakeCollector) -> None:
    clew.configure(service="before", endpoint=collector.url)
    clew.get_tracer("shop").start_span("old").end()
    clew.configure(service="after", endpoint=collector.url)
    clew.get_tracer("shop").start_span("new").end()
    clew.flush()

    sent = {
        request.resource_spans[0].scope_spans[0].spans[0].name: attributes_of(
            request.resource_spans[0].resource.attributes
        )["service.name"]
        for request in collector.trace_requests
    }
    assert sent == {"old": "before", "new": "after"}
