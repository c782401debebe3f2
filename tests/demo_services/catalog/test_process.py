import asyncio
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from clew_demo.assortment import ARTICLES
from clew_demo.faults.switchboard import Switchboard
from clew_demo.registry import Instance, Registry
from tests.demo_services.catalog.shop import NOBODY, running_instance
from tests.demo_services.neighbours.processes import SPAN_ID, TRACE_ID, RunningService, running_service
from tests.demo_services.neighbours.zipkin_sink import ZipkinSink
from tests.instrumentation.fake_collector import FakeCollector, running_collector, value_of
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("callers_have_no_clew")

INSTANCES = ("catalog", "catalog-2")
STOP_TIMEOUT_S = 3
PAGE = "GET /products/{product_id}"


class Watched:
    """Both instances and the pricing behind them, and what they report."""

    def __init__(
        self, instances: dict[str, RunningService], collector: FakeCollector, zipkin: ZipkinSink, redis_url: str
    ) -> None:
        self.instances = instances
        self.collector = collector
        self.zipkin = zipkin
        self.redis_url = redis_url
        self.faults = Switchboard(instances["catalog"].data)

    def spans_of(self, path: str, *, last: str, instance: str = "catalog") -> list[Span]:
        """Spans of one request to an instance, from when one of the name `last`, which ends last, is there."""
        known = len(self.collector.spans)
        self.instances[instance].get(path)
        self.collector.wait_for(lambda: any(span.name == last for span in self.collector.spans[known:]))
        return self.collector.spans[known:]


def attributes(record: Any) -> dict[str, Any]:
    return {pair.key: value_of(pair.value) for pair in record.attributes}


def named(name: str, spans: list[Span]) -> list[Span]:
    return [span for span in spans if span.name == name]


def registered(redis_url: str) -> list[Instance]:
    async def look() -> list[Instance]:
        registry = Registry(redis_url)
        try:
            return await registry.instances("catalog")
        finally:
            await registry.close()

    return asyncio.run(look())


@pytest.fixture(scope="module")
def catalog(fakeredis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("catalog")
    with ExitStack() as stack:
        collector = stack.enter_context(running_collector())
        zipkin = stack.enter_context(ZipkinSink())
        pricing = stack.enter_context(running_service("pricing", folder, env={"CLEW_DEMO_ZIPKIN": zipkin.url}))
        env = {
            "CLEW_DEMO_REDIS_URL": fakeredis_url,
            "CLEW_DEMO_PRICING_URL": pricing.url,
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        }
        instances = {name: stack.enter_context(running_instance(name, folder, env=env)) for name in INSTANCES}
        yield Watched(instances, collector, zipkin, fakeredis_url)


@pytest.fixture(autouse=True)
def _all_is_well(catalog: Watched) -> Iterator[None]:
    yield
    catalog.faults.lift_all()


def test_both_instances_are_in_the_registry(catalog: Watched) -> None:
    expected = [Instance(name, service.url) for name, service in catalog.instances.items()]

    wait_until(lambda: registered(catalog.redis_url) == expected)


def test_a_page_is_one_trace_from_the_caller_to_pricing(catalog: Watched) -> None:
    spans = catalog.spans_of("/products/moka-pot", last=PAGE)

    [page], [look_up], [call] = named(PAGE, spans), named("GET cache", spans), named("GET", spans)
    assert (page.trace_id.hex(), page.parent_span_id.hex()) == (TRACE_ID, SPAN_ID)
    assert look_up.parent_span_id == page.span_id
    assert {span.trace_id.hex() for span in spans if span.name != "GET /healthz"} == {TRACE_ID}
    wait_until(lambda: any(span["tags"]["http.path"] == "/prices/moka-pot" for span in catalog.zipkin.spans))
    [price] = [span for span in catalog.zipkin.spans if span["tags"]["http.path"] == "/prices/moka-pot"]
    assert (price["traceId"], price["parentId"]) == (TRACE_ID, call.span_id.hex())


def test_the_spans_of_a_page_say_whether_it_was_cached(catalog: Watched) -> None:
    first = catalog.spans_of("/products/teapot-iron", last=PAGE)
    second = catalog.spans_of("/products/teapot-iron", last=PAGE, instance="catalog-2")

    assert [attributes(span)["cache.hit"] for span in named("GET cache", first + second)] == [False, True]
    assert attributes(named("GET cache", first)[0])["db.system.name"] == "redis"
    assert named("SELECT products", first)
    assert not named("SELECT products", second)


# Without the fault, a page that was just asked for is a hit.
@pytest.mark.parametrize("planted", [True, False])
def test_a_cache_stampede_shows_as_misses_of_pages_that_were_just_loaded(catalog: Watched, planted: bool) -> None:
    if planted:
        catalog.faults.plant("cache-stampede")

    def is_hit() -> bool:
        look_ups = named("GET cache", catalog.spans_of("/products/tea-rooibos", last=PAGE))
        return bool(attributes(look_ups[-1])["cache.hit"])

    wait_until(lambda: is_hit() != planted)


# Without the fault the list is one query: what is looked for is not there.
@pytest.mark.parametrize(("planted", "queries"), [(True, 1 + len(ARTICLES)), (False, 1)])
def test_n_plus_one_shows_in_the_spans_of_the_list(catalog: Watched, planted: bool, queries: int) -> None:
    if planted:
        catalog.faults.plant("n-plus-one")

    def statements() -> list[Span]:
        return named("SELECT products", catalog.spans_of("/products", last="GET /products"))

    wait_until(lambda: len(statements()) == queries)


def test_a_bad_deploy_shows_in_the_version_on_spans_and_lines(catalog: Watched) -> None:
    catalog.faults.plant("bad-deploy")
    bad = catalog.instances["catalog-2"]
    wait_until(lambda: bad.get("/products").headers["X-Version"] == "2.1.0")
    known = len(catalog.collector.spans)
    known_logs = len(catalog.collector.logs)
    statuses = [bad.get(f"/products/{article.id}").status_code for article in ARTICLES[:6]]

    spans = catalog.collector.wait_for(
        lambda: found if len(found := named(PAGE, catalog.collector.spans[known:])) == 6 else None
    )

    assert statuses.count(500) == 2
    assert {attributes(span).get("service.version") for span in spans} == {"2.1.0"}
    loaded = catalog.collector.wait_for(
        lambda: [log for log in catalog.collector.logs[known_logs:] if log.body.string_value == "product page loaded"]
    )
    assert {attributes(log).get("service.version") for log in loaded} == {"2.1.0"}
    well = catalog.spans_of("/products", last="GET /products")
    assert {attributes(span).get("service.version") for span in well} == {None}


@pytest.mark.parametrize("redis", ["there", "away"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_instance_stops_when_told(tmp_path: Path, fakeredis_url: str, number: signal.Signals, redis: str) -> None:
    env = {"CLEW_DEMO_REDIS_URL": fakeredis_url if redis == "there" else NOBODY}
    with running_instance("catalog-2", tmp_path, env=env) as service:
        assert service.stop(number) < STOP_TIMEOUT_S

    assert service.url not in {instance.url for instance in registered(fakeredis_url)}
