from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Status

import clew
from tests.instrumentation.fake_collector import FakeCollector, attributes_of
from tests.instrumentation.frameworks.asgi_apps import CALLER, TRACE, TRACEPARENT
from tests.instrumentation.frameworks.asking import Answer, server_span
from tests.instrumentation.frameworks.shops import SHOPS, Shop

SentHeaders = {"X-Request-ID": "r-1", "traceparent": TRACEPARENT}
Served = Callable[..., Answer]

pytestmark = pytest.mark.parametrize("shop", SHOPS, ids=lambda shop: shop.name)


@pytest.fixture
def ask(shop: Shop, exported: FakeCollector) -> Served:
    app = clew.instrument(shop.make())
    return lambda path, **options: shop.ask(app, path, {**SentHeaders}, **options)


def lines(collector: FakeCollector) -> dict[str, LogRecord]:
    return {log.body.string_value: log for log in collector.logs}


def test_the_request_is_followed_by_the_rules(ask: Served, shop: Shop, exported: FakeCollector) -> None:
    answer = ask("/orders/17?sig=secret&q=1")

    assert (answer.status, answer.body.strip(b'"'), answer.request_ids) == (200, b"order", ["r-1"])
    span = server_span(exported)
    assert span.name == f"GET {shop.route}"
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, CALLER)
    assert span.status.code == Status.STATUS_CODE_UNSET
    described = attributes_of(span.attributes)
    described.pop("user_agent.original", None)
    assert described == {
        "http.request.method": "GET",
        "http.route": shop.route,
        "http.response.status_code": 200,
        "url.scheme": "http",
        "url.path": "/orders/17",
        "url.query": "sig=REDACTED&q=1",
        "network.protocol.version": "1.1",
        "client.address": "127.0.0.1",
        "server.address": "shop.example",
        "server.port": 8000,
        "correlation.id": "r-1",
    }


def test_spans_and_log_lines_of_the_view_belong_to_the_request(
    ask: Served, shop: Shop, exported: FakeCollector
) -> None:
    ask("/orders/17")

    server = server_span(exported)
    (child,) = [span for span in exported.spans if span.name == "order"]
    line = lines(exported)["order"]
    assert child.parent_span_id == server.span_id
    assert (line.trace_id, line.span_id) == (server.trace_id, child.span_id)
    assert attributes_of(line.attributes)["correlation.id"] == "r-1"


def test_a_stream_belongs_to_the_request_to_its_end(ask: Served, shop: Shop, exported: FakeCollector) -> None:
    answer = ask("/stream")

    assert answer.body == b"part\npart\n"
    server = server_span(exported)
    children = [span for span in exported.spans if span.name.startswith("part")]
    assert [child.parent_span_id for child in children] == [server.span_id] * 2
    assert all(child.end_time_unix_nano <= server.end_time_unix_nano for child in children)
    for number in range(2):
        line = lines(exported)[f"part {number}"]
        assert line.trace_id == server.trace_id
        assert attributes_of(line.attributes)["correlation.id"] == "r-1"


def test_an_exception_that_nobody_handles_is_on_the_span_of_the_500(
    ask: Served, shop: Shop, exported: FakeCollector
) -> None:
    answer = ask("/fail/broken")

    assert (answer.status, answer.request_ids) == (500, ["r-1"])
    span = server_span(exported)
    assert span.status.code == Status.STATUS_CODE_ERROR
    assert attributes_of(span.attributes)["error.type"].endswith("Broken")
    (event,) = span.events
    assert attributes_of(event.attributes)["exception.message"] == "broken"
    assert "in fail" in attributes_of(event.attributes)["exception.stacktrace"]


def test_an_exception_that_the_service_makes_a_503_of_is_on_the_span(
    ask: Served, shop: Shop, exported: FakeCollector
) -> None:
    answer = ask("/fail/sold-out")

    assert (answer.status, answer.request_ids) == (503, ["r-1"])
    span = server_span(exported)
    assert span.status.code == Status.STATUS_CODE_ERROR
    if shop.name.startswith("django"):
        # `process_exception` is the service's own code; Django tells nobody.
        assert attributes_of(span.attributes)["error.type"] == "503"
    else:
        (event,) = span.events
        assert "in fail" in attributes_of(event.attributes)["exception.stacktrace"]


def test_an_exception_that_the_service_makes_a_404_of_is_no_failure(
    ask: Served, shop: Shop, exported: FakeCollector
) -> None:
    answer = ask("/fail/unknown")

    assert (answer.status, answer.request_ids) == (404, ["r-1"])
    span = server_span(exported)
    assert span.status.code == Status.STATUS_CODE_UNSET
    assert len(span.events) == 0


def test_a_path_that_no_route_matches_has_none(ask: Served, shop: Shop, exported: FakeCollector) -> None:
    answer = ask("/nowhere/4711")

    assert (answer.status, answer.request_ids) == (404, ["r-1"])
    span = server_span(exported)
    assert span.name == "GET"
    assert "http.route" not in attributes_of(span.attributes)


def test_every_request_has_an_id_of_its_own_and_leaves_nothing_behind(shop: Shop, exported: FakeCollector) -> None:
    app = clew.instrument(shop.make())

    ids = [shop.ask(app, path).request_ids for path in ("/orders/1", "/stream", "/fail/broken", "/orders/2")]

    assert [len(given) for given in ids] == [1, 1, 1, 1]
    assert len({given[0] for given in ids}) == 4
    assert (clew.correlation_id(), clew.trace_id()) == (None, None)


def test_instrumented_twice_is_as_once(shop: Shop, exported: FakeCollector) -> None:
    app = clew.instrument(clew.instrument(shop.make()))

    answer = shop.ask(app, "/orders/17")

    assert len(answer.request_ids) == 1
    server_span(exported)


def test_switched_off_it_leaves_no_trace(shop: Shop, collector: FakeCollector) -> None:
    clew.configure(service="orders", endpoint=collector.url, enabled=False)
    app: Any = clew.instrument(shop.make())

    answer = shop.ask(app, "/orders/17", SentHeaders)

    assert (answer.status, answer.request_ids) == (200, [])
    assert shop.ask(app, "/fail/sold-out").status == 503


def test_callers_are_not_trusted_when_the_settings_say_so(shop: Shop, collector: FakeCollector) -> None:
    clew.configure(service="orders", endpoint=collector.url, trust_incoming=False, log_format="json")
    app: Any = clew.instrument(shop.make())

    answer = shop.ask(app, "/orders/17", SentHeaders)

    (request_id,) = answer.request_ids
    assert request_id != "r-1"
    span = server_span(collector)
    assert span.trace_id.hex() != TRACE
    assert [link.trace_id.hex() for link in span.links] == [TRACE]
