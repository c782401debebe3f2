import asyncio
import os
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from clew.testing import ClewRequests
from clew.testing.captured import CapturedRequest
from clew_demo.faults.switchboard import Switchboard
from clew_demo.inventory.client import InventoryClient
from clew_demo.problems import Problem
from tests.demo_services.inventory.serving import LIMITED, an_item, running_inventory
from tests.waiting import wait_until


async def _buy(url: str, *product_ids: str) -> None:
    """Reserve each of the products for an order of its own, all at once."""
    client = InventoryClient(url, timeout_s=5)
    try:
        await asyncio.gather(
            *(client.reserve(f"o-{product_id}-{n}", [an_item(product_id)]) for n, product_id in enumerate(product_ids))
        )
    finally:
        await client.close()


def followed(
    clew_requests: ClewRequests, folder: Path, redis_url: str, *product_ids: str, fault: str = ""
) -> CapturedRequest:
    """What one request that bought these products emitted."""
    if fault:
        Switchboard(folder).plant(fault)
    with running_inventory(folder, redis_url=redis_url) as server:
        with clew_requests.new() as request:
            asyncio.run(_buy(server.url, *product_ids))
        request.wait_complete(services=["inventory"], logs=len(product_ids))
    return request.look()  # all of it: the server has ended


def durations_s(request: CapturedRequest, name: str) -> list[float]:
    return sorted(span.duration_ns / 1e9 for span in request.spans if span.name == name)


def test_a_reservation_is_one_trace_over_grpc_redis_and_sqlite(
    clew_requests: ClewRequests, tmp_path: Path, redis_url: str
) -> None:
    request = followed(clew_requests, tmp_path, redis_url, LIMITED)

    request.no_orphans()
    # redis-py hands a Redis the script that releases when it does not know it yet.
    assert {span.name for span in request.errors} <= {"EVALSHA"}
    request.assert_hop("tests", "inventory")
    request.assert_span("clew.demo.inventory.v1.Inventory/Reserve", service="inventory")
    request.assert_span("UPDATE products", service="inventory", db__system__name="sqlite")
    request.assert_span("acquire lock", lock__name=f"clew-demo:lock:{LIMITED}", lock__outcome="acquired")
    request.assert_logged("stock reserved", service="inventory", order_id=f"o-{LIMITED}-0", units=1)
    assert {log.attributes["correlation.id"] for log in request.logs} == {request.correlation_id}


@pytest.mark.parametrize("fault", ["", "slow-database"])
def test_a_slow_database_is_seen_in_its_update(
    fault: str, clew_requests: ClewRequests, tmp_path: Path, redis_url: str
) -> None:
    request = followed(clew_requests, tmp_path, redis_url, "tea-sencha", fault=fault)

    [duration_s] = durations_s(request, "UPDATE products")
    assert (duration_s >= 0.4) == (fault == "slow-database")


@pytest.mark.parametrize("fault", ["", "lock-contention"])
def test_contention_is_seen_in_who_waits_for_the_lock(
    fault: str, clew_requests: ClewRequests, tmp_path: Path, redis_url: str
) -> None:
    request = followed(clew_requests, tmp_path, redis_url, LIMITED, LIMITED, fault=fault)

    _, waited_s = durations_s(request, "acquire lock")
    assert (waited_s >= 0.25) == (fault == "lock-contention")


def test_a_loss_of_redis_is_said_once(clew_requests: ClewRequests, tmp_path: Path) -> None:
    request = followed(clew_requests, tmp_path, "redis://127.0.0.1:9/0", LIMITED, LIMITED)

    said = [log for log in request.logs if log.body == "locks are away, the database decides alone"]
    assert len(said) == 1
    request.assert_span("acquire lock", lock__outcome="unreachable")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_call_under_way_is_answered_before_the_process_ends(
    number: signal.Signals, clew_requests: ClewRequests, tmp_path: Path
) -> None:
    """The answer of a slow call arrives after the signal, and so do its span and its log."""

    async def pack(url: str, stop: Callable[[], None]) -> int:
        client = InventoryClient(url, timeout_s=5)
        try:
            await client.check()
            packing = asyncio.create_task(client.reserve("o-1", [an_item()]))
            await asyncio.to_thread(wait_until, lambda: _is_under_way(tmp_path))
            stop()
            return len((await packing).lines)
        finally:
            await client.close()

    Switchboard(tmp_path).plant("slow-database")
    with running_inventory(tmp_path) as server:
        with clew_requests.new() as request:
            lines = asyncio.run(pack(server.url, lambda: os.kill(server.pid, number)))
        stopped_s = time.monotonic()
        wait_until(lambda: _has_ended(server.pid), every_s=0.02)
        took_s = time.monotonic() - stopped_s

    assert lines == 1
    assert took_s < 8
    request.wait_complete(services=["inventory"], logs=1).assert_logged("stock reserved", service="inventory")


def test_a_service_that_was_killed_is_found_again(tmp_path: Path) -> None:
    with running_inventory(tmp_path) as server:
        asyncio.run(_buy(server.url, "tea-sencha"))
        os.kill(server.pid, signal.SIGKILL)

    with pytest.raises(Problem, match="cannot be reached"):
        asyncio.run(_buy(server.url, "moka-pot"))


def _is_under_way(folder: Path) -> bool:
    """Whether the server writes: nobody else can."""

    connection = sqlite3.connect(folder / "inventory.db", timeout=0, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
    except sqlite3.OperationalError:
        return True
    finally:
        connection.close()
    return False


def _has_ended(pid: int) -> bool:
    """Whether a child of this process has: it stays a zombie until its parent has looked."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
