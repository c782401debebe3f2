from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from clew_demo.traffic.actions import DECLINED_CARD
from tests.demo_services.otlp_sink import OtlpSink, Seen
from tests.demo_services.running_shop import RunningShop
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("callers_have_no_clew")

WITH_CLEW = {"gateway", "accounts", "orders", "inventory", "payments", "shipping", "notifications"}
LINES_OF_A_CHECKOUT = {
    ("gateway", "checkout started"),
    ("gateway", "checkout finished"),
    ("accounts", "points earned"),
    ("orders", "order created"),
    ("orders", "order paid"),
    ("orders", "order shipped"),
    ("orders", "notification settled"),
    ("inventory", "stock reserved"),
    ("payments", "payment captured"),
    ("shipping", "shipment booked"),
    ("notifications", "notification sent"),
}


@pytest.fixture(scope="module")
def sink() -> Iterator[OtlpSink]:
    with OtlpSink() as sink:
        yield sink


@pytest.fixture(scope="module")
def shop(sink: OtlpSink, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningShop]:
    with RunningShop(tmp_path_factory.mktemp("observed"), otlp_endpoint=sink.endpoint) as shop:
        yield shop


def check_out(shop: RunningShop, request_id: str, *, quantity: int = 1, **wanted: Any) -> httpx.Response:
    """Buy limited machines, as many as there are, under a chosen ID."""
    httpx.post(f"{shop.gateway_url}/restock", timeout=20)
    token = httpx.post(f"{shop.gateway_url}/login", json={"user": "ada"}).json()["token"]
    items = [{"product_id": "machine-lever", "quantity": quantity}]
    body = {"user": "ada", "items": items, "card": "4242424242424242", **wanted}
    headers = {"X-Request-ID": request_id, "Authorization": f"Bearer {token}"}
    return httpx.post(f"{shop.gateway_url}/checkout", json=body, headers=headers, timeout=20)


def spans_of(sink: OtlpSink, request_id: str, *, until: Callable[[list[Seen]], bool]) -> list[Seen]:
    """All spans in the trace of a request, once those that are waited for and their parents are there."""
    found: list[Seen] = []

    def has_come() -> bool:
        traces = {span.trace_id for span in sink.spans if span.attributes.get("correlation.id") == request_id}
        found[:] = [span for span in sink.spans if span.trace_id in traces]
        # The one without a parent may also be that of a service which is the first to report.
        return until(found) and [span.parent_span_id for span in without_parent(found)] == [""]

    wait_until(has_come)
    return found


def without_parent(spans: list[Seen]) -> list[Seen]:
    known = {span.span_id for span in spans}
    return [span for span in spans if span.parent_span_id not in known]


def logs_of(sink: OtlpSink, request_id: str, *, until: set[tuple[str, str]]) -> list[Seen]:
    """The lines of a request, once those that are waited for are there: (service, line)."""

    def found() -> list[Seen]:
        return [log for log in sink.logs if log.attributes.get("correlation.id") == request_id]

    wait_until(lambda: until <= {(log.service, log.name) for log in found()})
    return found()


def named(name: str, spans: list[Seen]) -> Seen:
    return next(span for span in spans if span.name == name)


def parent_of(span: Seen, spans: list[Seen]) -> Seen:
    return next(other for other in spans if other.span_id == span.parent_span_id)


def has(*names: str) -> Callable[[list[Seen]], bool]:
    """Whether all of these are there: each service reports on its own time, and a leaf is missed by nobody."""
    return lambda spans: set(names) <= {span.name for span in spans}


def wraps(span: Seen) -> bool:
    """Whether it is the statement that looks for gift boxes."""
    return "gift_boxes AS a, gift_boxes AS b, gift_boxes AS c" in span.attributes.get("db.query.text", "")


def test_a_checkout_is_one_trace_through_calls_and_messages(shop: RunningShop, sink: OtlpSink) -> None:
    check_out(shop, "web-checkout")

    spans = spans_of(sink, "web-checkout", until=lambda spans: {span.service for span in spans} >= WITH_CLEW)

    assert {span.service for span in spans} >= WITH_CLEW
    assert len({span.trace_id for span in spans}) == 1
    assert [span.name for span in without_parent(spans)] == ["POST /checkout"]


def test_statements_and_provider_calls_are_under_the_request_that_made_them(shop: RunningShop, sink: OtlpSink) -> None:
    check_out(shop, "web-statements")

    spans = spans_of(sink, "web-statements", until=has("UPDATE products", "charge card", "INSERT orders"))

    assert parent_of(named("UPDATE products", spans), spans).service == "inventory"
    assert parent_of(named("charge card", spans), spans).name == "POST /payments"
    assert parent_of(named("INSERT orders", spans), spans).name == "POST /orders"


def test_a_message_is_processed_under_the_span_that_published_it(shop: RunningShop, sink: OtlpSink) -> None:
    check_out(shop, "web-messages")

    spans = spans_of(sink, "web-messages", until=has("process shipping.events"))

    booking = named("process shipping.events", spans)
    assert booking.service == "shipping"
    assert parent_of(booking, spans).name == "publish shop.events:order.paid"


def test_every_service_logs_under_the_requests_id(shop: RunningShop, sink: OtlpSink) -> None:
    check_out(shop, "web-logs")

    logs = logs_of(sink, "web-logs", until=LINES_OF_A_CHECKOUT)

    assert {log.trace_id for log in logs} == {sink.spans_of("web-logs")[0].trace_id}


def test_a_declined_payment_shows_its_reason_and_its_undoing(shop: RunningShop, sink: OtlpSink) -> None:
    check_out(shop, "web-declined", card=DECLINED_CARD)

    logs = logs_of(sink, "web-declined", until={("payments", "card declined"), ("inventory", "stock released")})

    assert named("card declined", logs).attributes["reason"] == "insufficient funds"
    assert named("stock released", logs).attributes["units"] == 1
    assert DECLINED_CARD not in repr(sink.logs)
    assert DECLINED_CARD not in repr(sink.spans)


def test_a_slow_checkout_is_slow_because_of_one_query(shop: RunningShop, sink: OtlpSink) -> None:
    check_out(shop, "web-slow", quantity=2, gift_wrap=True)

    spans = spans_of(sink, "web-slow", until=lambda spans: has("POST /checkout")(spans) and any(map(wraps, spans)))

    slowest = max((span for span in spans if span.name.startswith("SELECT")), key=lambda span: span.duration_s)
    assert slowest.service == "inventory"
    assert wraps(slowest)
    assert slowest.duration_s > 0.6 * named("POST /checkout", spans).duration_s
