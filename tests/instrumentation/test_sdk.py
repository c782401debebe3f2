"""Services that bring OpenTelemetry's SDK along: it makes the spans, and clew's are among them."""

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.instrumentation.fake_collector import FakeCollector, attributes_of
from tests.instrumentation.scripts import run_script

APP = """
import asyncio, sys
import httpx
import clew
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider, SpanProcessor
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, TraceIdRatioBased
from fastapi import FastAPI

kept = InMemorySpanExporter()
app = FastAPI()

@app.get("/orders/{id}")
async def order(id: int):
    span = trace.get_current_span()
    span.set_attribute("order.id", id)
    span.add_event("priced", {"cents": 5})
    with trace.get_tracer("shop").start_as_current_span("price"):
        pass
    with clew.get_tracer("mine").start_as_current_span("rebate"):
        return {"traceparent": span.get_span_context().trace_id}

def call(headers=()):
    async def drive():
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            return await client.get("/orders/7", headers=dict(headers))
    return asyncio.run(drive())

def names():
    return sorted(span.name for span in kept.get_finished_spans())
"""

PARENT = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "x-request-id": "abc-1"}
CALL = f"\nanswer = call({PARENT!r})\nassert answer.headers['x-request-id'] == 'abc-1'\nclew.flush()\n"


def by_name(collector: FakeCollector) -> dict[str, Span]:
    return {span.name: span for span in collector.spans}


def check_trace(spans: dict[str, Span]) -> None:
    """All spans of the call under one parent, each with the correlation ID."""
    assert spans.keys() == {"GET /orders/{id}", "price", "rebate"}
    server = spans["GET /orders/{id}"]
    assert server.trace_id.hex() == "0af7651916cd43dd8448eb211c80319c"
    assert server.parent_span_id.hex() == "b7ad6b7169203331"
    assert server.kind == Span.SPAN_KIND_SERVER
    described = attributes_of(server.attributes)
    assert described["http.route"] == "/orders/{id}"
    assert described["http.response.status_code"] == 200
    assert described["order.id"] == 7
    assert [event.name for event in server.events] == ["priced"]
    for name in ("price", "rebate"):
        assert spans[name].parent_span_id == server.span_id
        assert spans[name].trace_id == server.trace_id
    assert {attributes_of(span.attributes)["correlation.id"] for span in spans.values()} == {"abc-1"}


def test_a_provider_that_was_there_before_makes_the_spans(collector: FakeCollector) -> None:
    script = (
        APP
        + """
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(kept))
trace.set_tracer_provider(provider)
clew.configure("orders", endpoint=sys.argv[1], log_format="none")
clew.configure("orders", endpoint=sys.argv[1], log_format="none")
clew.instrument(app)
"""
        + CALL
        + "assert names() == ['GET /orders/{id}', 'price', 'rebate'], names()"
    )

    done = run_script(script, collector.url)

    check_trace(by_name(collector))
    assert len(collector.spans) == 3
    assert done.stderr.count("OpenTelemetry has a tracer provider of the service's own") == 1


def test_a_provider_that_comes_later_takes_over(collector: FakeCollector) -> None:
    script = (
        APP
        + """
clew.configure("orders", endpoint=sys.argv[1], log_format="none")
clew.instrument(app)
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(kept))
trace.set_tracer_provider(provider)
assert trace.get_tracer_provider() is provider
"""
        + CALL
        + "assert names() == ['GET /orders/{id}', 'price', 'rebate'], names()"
    )

    run_script(script, collector.url)

    check_trace(by_name(collector))


def test_a_span_processor_that_is_added_sees_every_span(collector: FakeCollector) -> None:
    script = (
        APP
        + """
started = []
class Watching(SpanProcessor):
    def on_start(self, span, parent_context=None):
        started.append(span.name)

clew.configure("orders", endpoint=sys.argv[1], log_format="none")
clew.instrument(app)
trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(kept))
trace.get_tracer_provider().add_span_processor(Watching())
"""
        + CALL
        + "assert names() == ['GET /orders/{id}', 'price', 'rebate'], names()\n"
        + "assert started == ['GET', 'price', 'rebate']"
    )

    done = run_script(script, collector.url)

    check_trace(by_name(collector))
    assert done.stderr.count("a span processor was added") == 1


def test_the_services_own_sampler_decides(collector: FakeCollector) -> None:
    script = (
        APP
        + """
trace.set_tracer_provider(TracerProvider(sampler=ALWAYS_OFF))
clew.configure("orders", endpoint=sys.argv[1], log_format="none")
clew.instrument(app)
answer = call()
assert answer.status_code == 200
assert len(answer.headers["x-request-id"]) == 32
assert clew.flush()
"""
    )

    run_script(script, collector.url)

    assert collector.spans == []


def test_spans_that_the_provider_exports_to_the_collector_are_not_sent_twice(collector: FakeCollector) -> None:
    script = (
        APP
        + """
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import BatchSpanProcessor
provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=sys.argv[1] + "/v1/traces")))
trace.set_tracer_provider(provider)
clew.configure("orders", endpoint=sys.argv[1], log_format="none")
clew.instrument(app)
"""
        + CALL
        + "provider.shutdown()"
    )

    run_script(script, collector.url)

    check_trace(by_name(collector))
    assert len(collector.spans) == 3


def test_an_exception_is_recorded_once_and_fails_the_span(collector: FakeCollector) -> None:
    script = (
        APP
        + """
@app.get("/fail")
async def fail():
    raise ValueError("no stock")

trace.set_tracer_provider(TracerProvider())
clew.configure("orders", endpoint=sys.argv[1], log_format="none")
clew.instrument(app)
async def drive():
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        assert (await client.get("/fail")).status_code == 500
asyncio.run(drive())
clew.flush()
"""
    )

    run_script(script, collector.url)

    (span,) = collector.spans
    assert span.status.code == 2
    assert [event.name for event in span.events] == ["exception"]
    assert attributes_of(span.events[0].attributes)["exception.type"] == "ValueError"
