import asyncio
from collections import Counter
from collections.abc import Sequence

import httpx
import pytest
import structlog

from clew_demo.registry import Registry
from clew_demo.resilience.balancing import SKIP_S, Balanced, Balancer, Instance, KnownInstance
from tests.demo_services.resilience.neighbours import Neighbour, Network, a_request_span, events
from tests.servers.processes import free_port

ONE = KnownInstance("catalog", "http://one")
TWO = KnownInstance("catalog-2", "http://two")
THREE = KnownInstance("catalog-3", "http://three")


class Known:
    """A registry that was told."""

    def __init__(self, *instances: Instance) -> None:
        self.found: Sequence[Instance] = instances

    async def instances(self, service: str) -> Sequence[Instance]:
        return self.found


class Setup:
    """A balancer, its registry, and two instances with a client that asks them."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.registry = Known()
        self.balancer = Balancer("catalog", self.registry, fallback=[ONE, TWO], monotonic_s=lambda: self.now_s)
        self.one, self.two, self.three = Neighbour("one"), Neighbour("two"), Neighbour("three")
        self.network = Network(one=self.one.app, two=self.two.app, three=self.three.app)
        transport = Balanced(self.network, balancer=self.balancer)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://catalog")

    async def ask(self, times: int) -> Counter[str]:
        return Counter([(await self.client.get("/products")).json()["from"] for _ in range(times)])


def test_requests_go_to_all_instances_in_turn() -> None:
    async def run() -> None:
        assert await Setup().ask(10) == {"one": 5, "two": 5}

    asyncio.run(run())


def test_calls_that_come_in_pairs_do_not_stick_to_an_instance() -> None:
    balancer = Balancer("catalog", Known(), fallback=[ONE, TWO])

    firsts_of_pairs = {[balancer.in_turn()[0], balancer.in_turn()[0]][0] for _ in range(50)}

    assert firsts_of_pairs == {ONE, TWO}


def test_an_instance_that_the_registry_knows_takes_part_and_one_that_died_does_not() -> None:
    async def run() -> None:
        setup = Setup()
        setup.registry.found = [TWO, THREE]

        with structlog.testing.capture_logs() as logs:
            await setup.balancer.refresh()

        assert await setup.ask(10) == {"two": 5, "three": 5}
        assert [line["event"] for line in logs] == ["instances changed"]

    asyncio.run(run())


def test_without_a_registry_the_instances_of_the_settings_are_used() -> None:
    async def run() -> None:
        registry = Registry(f"redis://127.0.0.1:{free_port()}/0")
        balancer = Balancer("catalog", registry, fallback=[ONE, TWO])

        await balancer.refresh()

        assert set(balancer.in_turn()) == {ONE, TWO}

    asyncio.run(run())


def test_a_refused_connection_is_tried_at_the_next_instance() -> None:
    async def run() -> None:
        setup = Setup()
        setup.network.down.add("one")

        with a_request_span() as span:
            assert await setup.ask(10) == {"two": 10}

        assert events(span) == ["instance refused connection"]
        assert setup.network.refused == 1, "an instance that refused is skipped for a while"

    asyncio.run(run())


def test_one_instance_alone_is_as_good_as_none_when_it_is_down() -> None:
    async def run() -> None:
        setup = Setup()
        setup.registry.found = [ONE]
        await setup.balancer.refresh()
        setup.network.down.add("one")

        with pytest.raises(httpx.ConnectError):
            await setup.ask(1)

    asyncio.run(run())


def test_an_instance_that_refused_is_asked_again_later() -> None:
    async def run() -> None:
        setup = Setup()
        setup.network.down.add("one")
        await setup.ask(2)
        setup.network.down.clear()

        assert await setup.ask(10) == {"two": 10}
        setup.now_s += SKIP_S

        assert set(await setup.ask(10)) == {"one", "two"}

    asyncio.run(run())


def test_a_registry_that_fails_does_not_end_the_refreshing() -> None:
    class Broken(Known):
        asked = 0
        was_asked_twice = asyncio.Event()

        async def instances(self, service: str) -> Sequence[Instance]:
            self.asked += 1
            if self.asked == 2:
                self.was_asked_twice.set()
            raise RuntimeError("no idea")

    async def run() -> None:
        registry = Broken()
        refreshing = asyncio.create_task(Balancer("catalog", registry, fallback=[ONE]).keep_fresh())
        await asyncio.wait_for(registry.was_asked_twice.wait(), 5)
        refreshing.cancel()

    asyncio.run(run())
