from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from clew_demo.payments.provider import DECLINED_CARD
from tests.demo_services.otlp_sink import OtlpSink, Seen
from tests.demo_services.running_shop import RunningShop


@pytest.fixture(scope="module")
def sink() -> Iterator[OtlpSink]:
    with OtlpSink() as sink:
        yield sink


@pytest.fixture(scope="module")
def shop(sink: OtlpSink, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningShop]:
    with RunningShop(tmp_path_factory.mktemp("observed"), otlp_endpoint=sink.endpoint) as shop:
        yield shop


def check_out(shop: RunningShop, request_id: str, *, quantity: int = 1, **wanted: Any) -> httpx.Response:
    items = [{"product_id": "machine-lever", "quantity": quantity}]
    body = {"user": "ada", "items": items, "card": "4242424242424242", **wanted}
    headers = {"X-Request-ID": request_id}
    return httpx.post(f"{shop.gateway_url}/checkout", json=body, headers=headers, timeout=20)


def named(name: str, spans: list[Seen]) -> Seen:
    return next(span for span in spans if span.name == name)


def test_a_checkout_is_one_trace_through_all_services(shop: RunningShop, sink: OtlpSink) -> None:
    check_out(shop, "web-checkout")

    spans = sink.spans_of("web-checkout")

    assert {span.service for span in spans} == {"gateway", "orders", "inventory", "payments"}
    assert len({span.trace_id for span in spans}) == 1
    ids = {span.span_id for span in spans}
    assert [span.name for span in spans if span.parent_span_id not in ids] == ["POST /checkout"]


def test_statements_and_provider_calls_are_under_the_request_that_made_them(shop: RunningShop, sink: OtlpSink) -> None:
    httpx.post(f"{shop.gateway_url}/restock")
    check_out(shop, "web-statements")

    spans = sink.spans_of("web-statements")

    assert named("UPDATE products", spans).parent_span_id == named("POST /reservations", spans).span_id
    assert named("charge card", spans).parent_span_id == named("POST /payments", spans).span_id
    assert named("INSERT orders", spans).parent_span_id == named("POST /orders", spans).span_id


def test_every_service_logs_under_the_requests_id(shop: RunningShop, sink: OtlpSink) -> None:
    httpx.post(f"{shop.gateway_url}/restock")
    check_out(shop, "web-logs")

    lines = {(log.service, log.name) for log in sink.logs_of("web-logs")}

    assert lines == {
        ("gateway", "checkout started"),
        ("gateway", "checkout finished"),
        ("orders", "order created"),
        ("orders", "order confirmed"),
        ("inventory", "stock reserved"),
        ("payments", "payment captured"),
    }


def test_a_declined_payment_shows_its_reason_and_its_undoing(shop: RunningShop, sink: OtlpSink) -> None:
    httpx.post(f"{shop.gateway_url}/restock")
    check_out(shop, "web-declined", card=DECLINED_CARD)

    logs = sink.logs_of("web-declined")

    assert named("card declined", logs).attributes["reason"] == "insufficient funds"
    assert named("stock released", logs).attributes["units"] == 1
    assert DECLINED_CARD not in repr(logs)


def test_a_slow_checkout_is_slow_because_of_one_query(shop: RunningShop, sink: OtlpSink) -> None:
    httpx.post(f"{shop.gateway_url}/restock")
    check_out(shop, "web-slow", quantity=2, gift_wrap=True)

    spans = sink.spans_of("web-slow")

    slowest = max((span for span in spans if span.name.startswith("SELECT")), key=lambda span: span.duration_s)
    assert slowest.service == "inventory"
    assert "gift_boxes AS a, gift_boxes AS b, gift_boxes AS c" in slowest.attributes["db.query.text"]
    assert slowest.duration_s > 0.7 * named("POST /checkout", spans).duration_s
