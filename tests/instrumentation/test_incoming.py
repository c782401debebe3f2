"""What a request takes over from its caller and what becomes of it, by the ASGI middleware and by `Following` alike."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import baggage, context
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

import clew
from clew.headers import Headers
from clew.incoming import SERVER, Following
from clew.messaging.by_hand import outgoing_headers
from clew.settings import Settings
from tests.instrumentation.fake_collector import FakeCollector, attributes_of
from tests.instrumentation.frameworks.asgi_apps import get

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{CALLER}-01"
NOT_SAMPLED = f"00-{TRACE}-{CALLER}-00"
AMZN = f"1-{TRACE[:8]}-{TRACE[8:]}"

log = logging.getLogger("orders")
Seen = dict[str, Any]


def handle(path: str) -> Seen:
    """What a service sees of its request, after a span and a log line of its own."""
    with clew.get_tracer("test").start_as_current_span("query"):
        log.warning("handling")
        seen = {
            "correlation_id": clew.correlation_id(),
            "trace_id": clew.trace_id(),
            "baggage": dict(baggage.get_all()),
            "sent": {name.lower(): value for name, value in outgoing_headers().items()},
        }
    if path == "/fail":
        raise ValueError("no stock")
    return seen


def by_asgi(headers: dict[str, str], path: str = "/") -> Seen:
    seen: Seen = {}

    async def endpoint(request: Request) -> JSONResponse:
        seen.update(handle(request.url.path))
        return JSONResponse({})

    app = clew.instrument(Starlette(routes=[Route("/{anything:path}", endpoint)]))
    asyncio.run(get(app, path, headers=headers, raises=False))
    return seen


def by_following(headers: Any, path: str = "/") -> Seen:
    try:
        with Following("GET", SERVER, headers, path=path):
            return handle(path)
    except ValueError:
        return {}


Ask = Callable[..., Seen]
ways = pytest.mark.parametrize("ask", [by_asgi, by_following])


def configure(collector: FakeCollector, **settings: Any) -> None:
    clew.configure(service="orders", endpoint=collector.url, log_format="json", **settings)


def spans(collector: FakeCollector) -> list[Span]:
    assert clew.flush()
    return list(collector.spans)


def server_span(collector: FakeCollector) -> Span:
    (span,) = [span for span in spans(collector) if span.kind == Span.SPAN_KIND_SERVER]
    return span


@ways
class TestCallersWhoAreNotTrusted:
    def test_their_trace_is_a_link(self, collector: FakeCollector, ask: Ask) -> None:
        configure(collector, trust_incoming=False)

        ask({"traceparent": TRACEPARENT, "tracestate": "v=1"})

        span = server_span(collector)
        assert span.trace_id.hex() != TRACE
        assert span.parent_span_id == b""
        assert span.trace_state == ""
        (link,) = span.links
        assert (link.trace_id.hex(), link.span_id.hex(), link.trace_state) == (TRACE, CALLER, "v=1")

    def test_their_ids_and_baggage_are_not_taken(self, collector: FakeCollector, ask: Ask) -> None:
        configure(collector, trust_incoming=False)

        seen = ask({"X-Request-ID": "theirs", "X-Correlation-ID": "theirs", "baggage": "tenant=acme,correlation.id=x"})

        assert seen["correlation_id"] not in ("theirs", "x")
        assert seen["baggage"] == {"correlation.id": seen["correlation_id"]}

    def test_they_do_not_decide_on_sampling(self, collector: FakeCollector, ask: Ask) -> None:
        configure(collector, trust_incoming=False)

        ask({"traceparent": NOT_SAMPLED})

        assert server_span(collector)


@ways
class TestHeaders:
    def test_their_names_may_be_chosen(self, collector: FakeCollector, ask: Ask) -> None:
        configure(collector, request_id_header="X-Trace", correlation_id_headers=("X-One", "X-Two"))

        assert ask({"X-Trace": "id-0", "X-One": "id-1"})["correlation_id"] == "id-0"
        assert ask({"X-Two": "id-2", "X-One": "id-1"})["correlation_id"] == "id-1"
        assert ask({"X-Two": "id-2", "X-Request-ID": "no"})["correlation_id"] == "id-2"
        assert ask({"X-Two": "id-2"})["sent"]["x-trace"] == "id-2"

    def test_an_invalid_one_is_as_if_it_were_not_there(self, exported: FakeCollector, ask: Ask) -> None:
        assert ask({"X-Request-ID": "two words", "X-Correlation-ID": "id-2"})["correlation_id"] == "id-2"

    def test_that_of_aws_is_read(self, exported: FakeCollector, ask: Ask) -> None:
        ask({"X-Amzn-Trace-Id": f"Root={AMZN};Parent={CALLER};Sampled=1"})

        span = server_span(exported)
        assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, CALLER)

    def test_that_of_a_load_balancer_gives_the_trace_and_no_parent(self, exported: FakeCollector, ask: Ask) -> None:
        ask({"X-Amzn-Trace-Id": f"Self=1-67891234-12456789abcdef012345678;Root={AMZN}"})

        span = server_span(exported)
        assert (span.trace_id.hex(), span.parent_span_id) == (TRACE, b"")

    @pytest.mark.parametrize(
        "header",
        [
            "",
            ";;;",
            "Root",
            "Root=;Parent=;Sampled=",
            "Root=1-0-0",
            f"Root={AMZN}0",
            "Root=1-00000000-" + "0" * 24,
            "Root=" * 5_000,
        ],
    )
    def test_that_of_aws_may_be_anything(self, exported: FakeCollector, ask: Ask, header: str) -> None:
        ask({"X-Amzn-Trace-Id": header})

        assert server_span(exported).parent_span_id == b""

    def test_a_parent_that_is_not_valid_does_not_hide_another_one(self, exported: FakeCollector, ask: Ask) -> None:
        ask({"traceparent": "nonsense", "b3": "nonsense", "X-Amzn-Trace-Id": f"Root={AMZN};Parent={CALLER}"})

        assert server_span(exported).trace_id.hex() == TRACE

    @pytest.mark.parametrize(
        ("propagators", "names"),
        [
            (("tracecontext", "baggage"), {"traceparent", "tracestate", "baggage"}),
            (("b3",), {"b3"}),
            (("b3multi",), {"x-b3-traceid", "x-b3-spanid", "x-b3-sampled"}),
            (("xray",), {"x-amzn-trace-id"}),
            (("b3", "tracecontext"), {"b3", "traceparent", "tracestate"}),
            (("none",), set()),
        ],
    )
    @pytest.mark.parametrize("sampled", [True, False])
    def test_what_is_written_says_who_calls_and_is_read_again(
        self, collector: FakeCollector, ask: Ask, propagators: tuple[str, ...], names: set[str], sampled: bool
    ) -> None:
        configure(collector, propagators=propagators, keep_errors=False)

        first = ask({"traceparent": TRACEPARENT if sampled else NOT_SAMPLED, "tracestate": "v=1"})["sent"]
        assert first.keys() == names | {"x-request-id"}
        second = ask(first)

        assert second["correlation_id"] == first["x-request-id"]
        if names:
            assert second["trace_id"] == TRACE
            assert len(spans(collector)) == (4 if sampled else 0)
        else:
            assert second["trace_id"] != TRACE

    def test_baggage_is_on_spans_where_the_settings_say_so(self, collector: FakeCollector, ask: Ask) -> None:
        configure(collector, baggage_fields=("tenant", "missing"))

        ask({"baggage": "tenant=ac%20me;ttl=1,user=17"})

        for span in spans(collector):
            attributes = attributes_of(span.attributes)
            assert attributes["tenant"] == "ac me"
            assert not attributes.keys() & {"missing", "user"}
        assert len(spans(collector)) == 2


@ways
class TestExcluding:
    def test_an_excluded_path_has_ids_and_logs_and_no_spans(self, collector: FakeCollector, ask: Ask) -> None:
        configure(collector, excluded_urls=("^/healthz$", "internal"))

        for path in ("/healthz", "/very/internal/things"):
            seen = ask({"X-Request-ID": "r-1", "traceparent": TRACEPARENT}, path)
            assert seen["correlation_id"] == "r-1"
            assert seen["sent"]["traceparent"].endswith("-00")
        ask({}, "/healthz/deep")

        assert len(spans(collector)) == 2
        ids = [attributes_of(line.attributes)["correlation.id"] for line in collector.logs]
        assert ids[:2] == ["r-1", "r-1"]

    def test_not_even_when_it_fails(self, collector: FakeCollector, ask: Ask) -> None:
        configure(collector, excluded_urls=("^/fail$",))

        ask({}, "/fail")

        assert spans(collector) == []


@ways
class TestSampling:
    def test_a_ratio_of_nothing_keeps_ids_and_logs(self, collector: FakeCollector, ask: Ask) -> None:
        configure(collector, sample_ratio=0)

        seen = ask({"X-Request-ID": "r-1"})

        assert seen["correlation_id"] == "r-1"
        assert seen["sent"]["traceparent"] == f"00-{seen['trace_id']}-{seen['sent']['traceparent'][36:52]}-02"
        assert spans(collector) == []
        (line,) = [line for line in collector.logs if line.body.string_value == "handling"]
        assert line.trace_id.hex() == seen["trace_id"]

    def test_a_ratio_decides_by_the_trace_id(self, collector: FakeCollector, ask: Ask) -> None:
        configure(collector, sampler="traceidratio", sample_ratio=0.25)
        kept, dropped = "f" * 16 + "3" + "f" * 15, "0" * 16 + "4" + "0" * 15

        for trace in (kept, dropped):
            for flags in ("00", "01"):
                ask({"traceparent": f"00-{trace}-{CALLER}-{flags}"})

        assert [span.trace_id.hex() for span in spans(collector)] == [kept] * 4

    def test_a_ratio_keeps_about_that_many_new_traces(self, collector: FakeCollector, ask: Ask) -> None:
        configure(collector, sample_ratio=0.5)

        flags = [ask({})["sent"]["traceparent"][-2:] for _ in range(200)]

        # Six standard deviations: once in a billion runs.
        assert 57 < flags.count("03") < 143
        assert len(spans(collector)) == 2 * flags.count("03")

    @pytest.mark.parametrize(
        ("sampler", "kept"),
        [
            ("parentbased_always_on", {"01", "new"}),
            ("parentbased_always_off", {"01"}),
            ("parentbased_traceidratio", {"01"}),
            ("always_on", {"00", "01", "new"}),
            ("always_off", set()),
            ("traceidratio", set()),
        ],
    )
    def test_each_sampler_heeds_its_caller_or_does_not(
        self, collector: FakeCollector, ask: Ask, sampler: str, kept: set[str]
    ) -> None:
        configure(collector, sampler=sampler, sample_ratio=0)

        for flags in ("00", "01"):
            ask({"traceparent": f"00-{TRACE}-{CALLER}-{flags}", "X-Request-ID": flags})
        ask({"X-Request-ID": "new"})

        assert {attributes_of(span.attributes)["correlation.id"] for span in spans(collector)} == kept

    def test_a_caller_may_decide_without_a_trace(self, exported: FakeCollector, ask: Ask) -> None:
        seen = ask({"b3": "0"})

        assert spans(exported) == []
        assert len(seen["trace_id"]) == 32

    @pytest.mark.parametrize("headers", [{"traceparent": NOT_SAMPLED}, {}], ids=["by the caller", "by the ratio"])
    def test_a_request_that_fails_is_kept_with_all_that_it_did_here(
        self, collector: FakeCollector, ask: Ask, headers: dict[str, str]
    ) -> None:
        configure(collector, sample_ratio=0)

        ask(headers, "/fail")
        ask(headers)

        child, root = spans(collector)
        assert (child.name, root.kind) == ("query", Span.SPAN_KIND_SERVER)
        assert child.parent_span_id == root.span_id
        assert attributes_of(root.attributes)["clew.kept_because"] == "error"
        assert "clew.kept_because" not in attributes_of(child.attributes)

    def test_a_request_that_fails_is_not_kept_when_nobody_wants_that(self, collector: FakeCollector, ask: Ask) -> None:
        configure(collector, sample_ratio=0, keep_errors=False)

        ask({}, "/fail")

        assert spans(collector) == []

    def test_a_slow_request_is_kept_where_the_settings_say_what_slow_is(
        self, collector: FakeCollector, ask: Ask
    ) -> None:
        configure(collector, sample_ratio=0, keep_slower_than_s=60)
        ask({})
        assert spans(collector) == []

        configure(collector, sample_ratio=0, keep_slower_than_s=0)
        ask({})

        assert attributes_of(server_span(collector).attributes)["clew.kept_because"] == "slow"
        assert len(spans(collector)) == 2


def test_baggage_of_any_type_does_no_harm(exported: FakeCollector) -> None:
    class Unreadable:
        def __str__(self) -> str:
            raise RuntimeError("no text")

    with clew.request("report", correlation_id="r-1"):
        token = context.attach(baggage.set_baggage("half", "\ud800"))
        context.attach(baggage.set_baggage("number", 17))
        context.attach(baggage.set_baggage("unreadable", Unreadable()))
        context.attach(baggage.set_baggage(17, "seventeen"))  # type: ignore[arg-type]
        sent = outgoing_headers()["baggage"]
        context.detach(token)

    assert sent.partition("%20")[0] == "correlation.id=r-1,half=?,number=17,unreadable=<unreadable"
    assert "seventeen" not in sent


class TestHeld:
    """A request that was not sampled, until it is known whether it is worth keeping."""

    def test_what_ends_after_a_request_that_is_kept_is_kept_too(self, collector: FakeCollector) -> None:
        configure(collector, sample_ratio=0)
        tracer = clew.get_tracer("test")

        for fails in (True, False):
            work = Following("GET", SERVER)
            with work.resumed():
                late = tracer.start_span("late")
            work.end(ValueError("no stock") if fails else None)
            late.end()

        assert [span.name for span in spans(collector)] == ["GET", "late"]

    def test_a_large_one_is_kept_in_part(self, collector: FakeCollector) -> None:
        configure(collector, sample_ratio=0)

        with Following("GET", SERVER) as work:
            for _ in range(1_000):
                clew.get_tracer("test").start_span("query").end()
            work.end(ValueError("no stock"))

        assert len(spans(collector)) == 513

    def test_one_inside_of_another_is_kept_with_it(self, collector: FakeCollector) -> None:
        configure(collector, sample_ratio=0)

        with clew.request("outer"), pytest.raises(ValueError, match="no stock"), clew.request("inner"):
            raise ValueError("no stock")

        assert spans(collector) == []
        with pytest.raises(ValueError, match="no stock"), clew.request("outer"), clew.request("inner"):
            raise ValueError("no stock")
        assert [span.name for span in spans(collector)] == ["inner", "outer"]


class TestFollowing:
    @pytest.mark.parametrize(
        "headers",
        [
            17,
            "traceparent",
            b"traceparent",
            object(),
            [None, 1, (), ("traceparent",), ("traceparent", 1), ("a", "b", "c"), [[], {}]],
            {None: None, 17: "x", ("a", "b"): "c", "traceparent": object()},
            {"\udcff": "\udcff", "traceparent": "\udcff", "X-Request-ID": "\udcff"},
        ],
    )
    def test_headers_of_any_type_do_no_harm(self, exported: FakeCollector, headers: Any) -> None:
        assert by_following(headers)["correlation_id"]

        assert server_span(exported).parent_span_id == b""

    @pytest.mark.parametrize(
        "headers",
        [
            {"TraceParent": TRACEPARENT, "x-REQUEST-id": "r-1"},
            {b"traceparent": TRACEPARENT.encode(), b"X-Request-ID": b"r-1"},
            [("traceparent", TRACEPARENT.encode()), (b"x-request-id", "r-1"), ("broken",)],
            [["traceparent", TRACEPARENT], ["X-Request-ID", "r-1"]],
        ],
    )
    def test_names_and_values_may_be_text_or_bytes_in_any_case(self, exported: FakeCollector, headers: Any) -> None:
        assert by_following(headers)["correlation_id"] == "r-1"

        assert server_span(exported).trace_id.hex() == TRACE

    def test_a_message_of_nothing_but_baggage_takes_no_time(self, exported: FakeCollector) -> None:
        headers = [("baggage", "a=b"), ("tracestate", "a=b")] * 100_000
        begin_s = time.monotonic()

        by_following(headers)

        # Each joined to the ones before would be 40 GB of copies.
        assert time.monotonic() - begin_s < 5

    def test_lists_that_are_sent_in_parts_are_joined(self) -> None:
        headers = Headers(Settings()).pick([(b"baggage", b"a=1"), (b"tracestate", b"v=1"), (b"baggage", b"b=2")])

        assert headers == {b"baggage": b"a=1,b=2", b"tracestate": b"v=1"}

    def test_nothing_happens_when_clew_is_switched_off(self, collector: FakeCollector) -> None:
        clew.configure(service="orders", endpoint=collector.url, enabled=False)

        with Following("GET", SERVER, {"traceparent": TRACEPARENT, "X-Request-ID": "r-1"}) as work:
            assert clew.correlation_id() is None
            assert clew.trace_id() is None
        work.end()

        assert collector.requests == []
