"""The demo shop with a real collector watching it, and questions about what the collector has stored."""

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx

from clew_demo.faults.switchboard import Switchboard
from tests.demo_services.running_shop import RunningShop
from tests.server.running_clew import RunningClew, clew_up
from tests.waiting import wait_until

STORED_TIMEOUT_S = 30.0
GOOD_CARD = "4242424242424242"
ANY_NUMBER = httpx.Limits(max_connections=None)
NO_HEADERS: Mapping[str, str] = {}

T = TypeVar("T")

Stored = dict[str, Any]
"""A request as the dashboard gives it as JSON."""


class WatchedShop:
    """What a customer and what a developer can do."""

    def __init__(self, shop: RunningShop, clew: RunningClew) -> None:
        self.shop = shop
        self.switchboard = Switchboard(shop.folder)
        self._dashboard_url = clew.dashboard_url
        self._numbers = itertools.count(1)
        self._gateway = httpx.Client(base_url=shop.gateway_url, timeout=30, trust_env=False, limits=ANY_NUMBER)
        self._dashboard = httpx.Client(base_url=clew.dashboard_url, timeout=30, trust_env=False)
        token = self._gateway.post("/login", json={"user": "ada"}).json()["token"]
        self._authorization = {"Authorization": f"Bearer {token}"}

    def send(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, headers: Mapping[str, str] = NO_HEADERS
    ) -> str:
        """Send one request to the shop; its ID."""
        return self.ask(method, path, body, headers=headers)[0]

    def ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, headers: Mapping[str, str] = NO_HEADERS
    ) -> tuple[str, int]:
        """Send one request to the shop; its ID and the answer's status."""
        request_id = f"test-{next(self._numbers)}"
        own = {"X-Request-ID": request_id, **self._authorization}
        answer = self._gateway.request(method, path, json=body, headers={**own, **headers})
        return request_id, answer.status_code

    def check_out(
        self, product_id: str = "tea-sencha", *, quantity: int = 1, headers: Mapping[str, str] = NO_HEADERS
    ) -> str:
        """Buy something; the request's ID."""
        items = [{"product_id": product_id, "quantity": quantity}]
        return self.send("POST", "/checkout", {"user": "ada", "items": items, "card": GOOD_CARD}, headers=headers)

    def all_at_once(self, act: Callable[[], T], *, times: int) -> list[T]:
        """Do the same several times at the same time; what came of each."""
        with ThreadPoolExecutor(times) as pool:
            return [found.result() for found in [pool.submit(act) for _ in range(times)]]

    def stored(
        self,
        request_id: str,
        *,
        having: Callable[[Stored], bool] = lambda _: True,
        timeout_s: float = STORED_TIMEOUT_S,
    ) -> Stored:
        """What is stored of a request, once its first span is there and it has what is asked for."""
        found: Stored = {}

        def is_there() -> bool:
            nonlocal found
            answer = self._dashboard.get(f"/requests/{request_id}", params={"format": "json"})
            found = answer.json() if answer.is_success else {}
            begun = any(not span["parent_span_id"] for span in found.get("spans", ()))
            return begun and having(found)

        wait_until(is_there, timeout_s=timeout_s, found=lambda: summary(found))
        return found

    def requests(self, **filters: str | int) -> list[Stored]:
        """Stored requests, newest first."""
        items: list[Stored] = self._dashboard.get("/requests", params={"format": "json", **filters}).json()["items"]
        return items

    def logs(self, **filters: str | int) -> list[Stored]:
        """Stored log records, newest first."""
        items: list[Stored] = self._dashboard.get("/logs", params={"format": "json", **filters}).json()["items"]
        return items

    @contextmanager
    def planted(self, fault: str) -> Iterator[None]:
        """With a fault in the shop."""
        self.switchboard.plant(fault)
        try:
            yield
        finally:
            self.switchboard.lift(fault)


def summary(stored: Stored) -> str:
    """The spans and lines of a request, one a line."""
    spans = [f"{span['service']} {span['name']} {span['status']}" for span in stored.get("spans", ())]
    logs = [f"{log['service']} {log['severity']} {log['body']}" for log in stored.get("logs", ())]
    return "\n".join([*spans, *logs])


@contextmanager
def watched_shop(folder: Path, *, sinks: Sequence[Mapping[str, Any]] = ()) -> Iterator[WatchedShop]:
    """All of the shop and a `clew up`, both with data of their own; it sends on to `sinks`."""
    config = folder / "clew.yaml"
    log = folder / "shop" / "logs" / "warehouse.log"
    tail = {"paths": [str(log)], "service": "warehouse", "start_at": "beginning"}
    config.write_text(json.dumps({"receivers": {"tail": [tail]}, "sinks": list(sinks)}))  # JSON is YAML, too
    with (
        clew_up(folder / "clew", "--config", str(config)) as clew,
        RunningShop(
            folder / "shop",
            otlp_endpoint=clew.otlp_url,
            zipkin_url=clew.zipkin_url,
            syslog_address=":".join(map(str, clew.syslog_address)),
        ) as shop,
    ):
        yield WatchedShop(shop, clew)
