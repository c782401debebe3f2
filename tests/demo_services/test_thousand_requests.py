"""A thousand requests of the shop's own customers: nothing that belongs to one of them is found anywhere else."""

import asyncio
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest

from clew_demo.servers.finding import Servers
from clew_demo.traffic.customers import Customers
from clew_demo.traffic.visits import Visit, visits
from tests.demo_services.otlp_sink import OtlpSink
from tests.demo_services.running_shop import RunningShop
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("callers_have_no_clew")

REQUESTS = 1_000
RATE_PER_S = 25.0
QUIET_S = 5.0
WITH_CLEW = {"gateway", "accounts", "catalog", "orders", "inventory", "payments", "shipping", "notifications"}


@pytest.fixture(scope="module", params=["RabbitMQ and Redis", "the demo's own"])
def sink(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OtlpSink]:
    """What was seen of the requests."""
    servers = Servers()
    if request.param == "RabbitMQ and Redis":
        broker_url = request.getfixturevalue("rabbitmq_of_module")
        servers = Servers(broker_url=broker_url, redis_url=request.getfixturevalue("redis_of_module"))
    folder = tmp_path_factory.mktemp("thousand")
    with OtlpSink() as sink, RunningShop(folder, otlp_endpoint=sink.endpoint, servers=servers) as shop:
        asyncio.run(send(shop.gateway_url, list(first_visits())))
        wait_until_quiet(sink)
        yield sink


def first_visits() -> Iterator[Visit]:
    """Visits in which a thousand requests are sent."""
    left = REQUESTS
    for visit in visits(7, rate_per_s=RATE_PER_S, think_s=0.1):
        if left <= 0:
            return
        left -= len(visit.actions)
        yield visit


async def send(gateway_url: str, coming: list[Visit]) -> None:
    async with httpx.AsyncClient(base_url=gateway_url, timeout=30, trust_env=False) as client:
        customers = Customers(client)
        await customers.perform(coming)
    assert customers.outcomes.total() >= 0.9 * REQUESTS
    assert not customers.outcomes["unreachable"]


def wait_until_quiet(sink: OtlpSink) -> None:
    """Until nothing more has come for a while: mails are still being sent when the last customer has gone."""
    seen = -1

    def is_quiet() -> bool:
        nonlocal seen
        before, seen = seen, len(sink.spans) + sum(bool(log.trace_id) for log in sink.logs)
        return seen == before

    wait_until(is_quiet, every_s=QUIET_S, timeout_s=120)


def test_every_span_has_its_parent(sink: OtlpSink) -> None:
    known = {(span.trace_id, span.span_id) for span in sink.spans}

    orphans = [
        f"{span.service}: {span.name}"
        for span in sink.spans
        if span.parent_span_id and (span.trace_id, span.parent_span_id) not in known
    ]

    assert Counter(orphans) == Counter()


def test_every_line_carries_the_id_of_its_request(sink: OtlpSink) -> None:
    request_of_trace = {
        span.trace_id: span.correlation_id for span in sink.spans if "correlation.id" in span.attributes
    }

    strays = [
        f"{log.service}: {log.name}"
        for log in sink.logs
        if log.trace_id and log.service in WITH_CLEW
        if log.attributes.get("correlation.id") != request_of_trace[log.trace_id]
    ]

    assert Counter(strays) == Counter()


def test_a_request_goes_over_every_way_there_is(sink: OtlpSink) -> None:
    checkouts = {span.correlation_id for span in sink.spans if span.name == "POST /checkout"}
    of_checkouts = [span for span in sink.spans if span.attributes.get("correlation.id") in checkouts]
    names = {span.name for span in of_checkouts}

    assert {span.service for span in of_checkouts} >= WITH_CLEW - {"catalog"}
    assert {"process shipping.events", "process orders.events", "process notifications.requests"} <= names
    assert any(name.endswith("/Reserve") for name in names)


def test_a_thousand_requests_have_a_root_each(sink: OtlpSink) -> None:
    roots = {span.correlation_id for span in sink.spans if span.service == "gateway" and not span.parent_span_id}

    assert len(roots) >= 0.9 * REQUESTS
