"""The catalog for tests: one instance in this process, or both as processes."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from random import Random

import httpx

from clew_demo.catalog.app import create_app
from clew_demo.catalog.cache import Cache
from clew_demo.catalog.database import Products
from clew_demo.catalog.deployment import Deployment
from clew_demo.catalog.pages import Catalog
from clew_demo.faults.switchboard import Switchboard
from clew_demo.pricing.app import create_app as create_pricing
from clew_demo.pricing.reporter import Reporter
from clew_demo.upstream import Upstream
from tests.demo_services.neighbours.processes import RunningService
from tests.servers.processes import answers_http, free_port
from tests.waiting import wait_until

NOBODY = "redis://127.0.0.1:9/0"
"""Where no Redis is."""


class CatalogInProcess:
    """One instance, with the real pricing behind it, or nobody."""

    def __init__(
        self,
        folder: Path,
        *,
        instance: str = "catalog",
        redis_url: str = NOBODY,
        hour: int = 12,
        has_pricing: bool = True,
    ) -> None:
        self.faults = Switchboard(folder)
        self._folder = folder
        self._instance = instance
        self._redis_url = redis_url
        self._deployment = Deployment(instance, faults=self.faults)
        pricing = httpx.ASGITransport(create_pricing(Reporter(None), random=Random(0), hour=lambda: hour))
        self._pricing = pricing if has_pricing else None

    def get(self, *paths: str) -> list[httpx.Response]:
        """Ask for these, one after the other."""

        async def ask() -> list[httpx.Response]:
            # Connections belong to one event loop.
            catalog = Catalog(
                Products(self._folder / f"{self._instance}.db", faults=self.faults),
                Cache(self._redis_url, faults=self.faults),
                Upstream("pricing", "http://127.0.0.1:9", timeout_s=0.5, transport=self._pricing),
                faults=self.faults,
            )
            transport = httpx.ASGITransport(create_app(catalog, self._deployment), raise_app_exceptions=False)  # type: ignore[arg-type]  # Litestar's own types of ASGI
            async with httpx.AsyncClient(transport=transport, base_url="http://catalog") as client:
                answers = [await client.get(path) for path in paths]
            await catalog.close()
            return answers

        return asyncio.run(ask())


@contextmanager
def running_instance(instance: str, folder: Path, *, env: Mapping[str, str]) -> Iterator[RunningService]:
    """`python -m clew_demo.catalog --instance ...` on a free port, from when it is healthy."""
    port, output = free_port(), folder / f"{instance}.out"
    argv = [sys.executable, "-m", "clew_demo.catalog", "--instance", instance, "--port", str(port)]
    with output.open("wb") as file:
        process = subprocess.Popen(
            argv, env={**os.environ, "CLEW_DEMO_DATA": str(folder), **env}, stdout=file, stderr=file
        )
    url = f"http://127.0.0.1:{port}"
    is_healthy = answers_http(f"{url}/healthz")
    try:
        wait_until(lambda: is_healthy() or process.poll() is not None, timeout_s=40)
        assert process.poll() is None, output.read_text()
        yield RunningService(process, url=url, data=folder, output=output)
    finally:
        process.kill()
        process.wait()
