"""Client-side load balancing: each request to the next healthy instance of a service."""

import asyncio
import time
from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple, Protocol

import httpx
import structlog
from opentelemetry import trace

REFRESH_EVERY_S = 1
SKIP_S = 5
"""How long an instance that refused a connection is asked last."""

ASKED = "clew_demo.asked_instances"
"""Extension of a request: the addresses that it went to so far."""

log = structlog.get_logger()


class Instance(Protocol):
    """One process of a service."""

    @property
    def name(self) -> str:
        """Which one, for people."""

    @property
    def url(self) -> str:
        """Where it listens."""


class KnownInstance(NamedTuple):
    """An instance that is known without a registry."""

    name: str
    url: str


class Registry(Protocol):
    """Who knows which instances are alive."""

    async def instances(self, service: str) -> Sequence[Instance]:
        """Those whose heart beats, as far as the registry knows. Soon, and without raising."""


class Balancer:
    """Whose turn it is among the instances of one service: round robin, those that refused lately last.

    Each round has an order of its own: where a page takes two calls and there are two instances, the same call would
    else go to the same instance each time. The `fallback` is one instance at least.
    """

    def __init__(
        self,
        service: str,
        registry: Registry,
        *,
        fallback: Sequence[Instance],
        monotonic_s: Callable[[], float] = time.monotonic,
        random: Random | None = None,
    ) -> None:
        self._service = service
        self._registry = registry
        self._fallback = fallback
        self._instances = sorted(fallback, key=lambda instance: instance.url)
        self._round: list[Instance] = []
        self._monotonic_s = monotonic_s
        self._refused_s: dict[str, float] = {}
        self._random = random or Random()

    async def keep_fresh(self) -> None:
        """Ask the registry once a second, for ever."""
        while True:
            try:
                await self.refresh()
            except Exception:  # the top of a task: the instances known so far go on being used
                log.exception("instances not refreshed", neighbour=self._service)
            await asyncio.sleep(REFRESH_EVERY_S)

    async def refresh(self) -> None:
        """Take over what the registry says; the fallback if it knows of none."""
        found = await self._registry.instances(self._service)
        instances = sorted(found or self._fallback, key=lambda instance: instance.url)
        if [instance.url for instance in instances] != [instance.url for instance in self._instances]:
            log.info("instances changed", neighbour=self._service, instances=[each.name for each in instances])
            self._instances, self._round = instances, []

    def in_turn(self) -> list[Instance]:
        """All instances, in the order in which to try them for one request."""
        if not self._round:
            self._round = self._random.sample(self._instances, len(self._instances))
        first = self._round.pop()
        in_turn = [first, *(instance for instance in self._instances if instance is not first)]
        before_s = self._monotonic_s() - SKIP_S
        return sorted(in_turn, key=lambda instance: self._refused_s.get(instance.url, before_s) > before_s)

    def note_refusal(self, instance: Instance) -> None:
        """Ask an instance last for a while: it refused a connection."""
        self._refused_s[instance.url] = self._monotonic_s()
        trace.get_current_span().add_event("instance refused connection", {"service.instance.id": instance.name})
        log.warning("instance refused a connection", neighbour=self._service, instance=instance.name)


class Balanced(httpx.AsyncBaseTransport):
    """Sends each request to the instance whose turn it is, and on to the next one if that refuses the connection.

    A connection that was refused has carried nothing: this is safe for every method. A request that is sent again goes
    first to those that have not been asked yet.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport, *, balancer: Balancer) -> None:
        self._inner = inner
        self._balancer = balancer

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The answer of the first instance that can be reached."""
        path = request.url.raw_path
        refusal: httpx.TransportError | None = None
        asked: set[str] = request.extensions.setdefault(ASKED, set())
        for instance in sorted(self._balancer.in_turn(), key=lambda instance: instance.url in asked):
            asked.add(instance.url)
            request.url = httpx.URL(instance.url).copy_with(raw_path=path)
            try:
                return await self._inner.handle_async_request(request)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                self._balancer.note_refusal(instance)
                refusal = error
        raise refusal or httpx.ConnectError("there is no instance", request=request)

    async def aclose(self) -> None:
        """Close what is wrapped."""
        await self._inner.aclose()
