import asyncio

import pytest
import structlog

from clew_demo.resilience.bulkhead import Bulkhead, BulkheadFull
from tests.demo_services.resilience.neighbours import a_request_span, events


class Work:
    """Work in a compartment, that goes on until it is let go."""

    def __init__(self, bulkhead: Bulkhead) -> None:
        self.bulkhead = bulkhead
        self.under_way = 0
        self.most_under_way = 0
        self.may_end = asyncio.Event()

    async def do(self) -> str:
        try:
            async with self.bulkhead.place():
                self.under_way += 1
                self.most_under_way = max(self.most_under_way, self.under_way)
                await self.may_end.wait()
                self.under_way -= 1
                return "done"
        except BulkheadFull:
            return "refused"


async def settled() -> None:
    """Until every task has come as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("places", "most", "refused"), [(2, 2, 5), (1000, 10, 0)], ids=["with a bulkhead", "without one"]
)
def test_only_so_many_are_at_work_and_so_many_wait(places: int, most: int, refused: int) -> None:
    async def run() -> None:
        work = Work(Bulkhead("checkouts", places=places, queue=3, wait_s=60))
        tasks = [asyncio.create_task(work.do()) for _ in range(10)]
        await settled()

        work.may_end.set()
        ends = await asyncio.gather(*tasks)

        assert work.most_under_way == most
        assert ends.count("refused") == refused

    asyncio.run(run())


def test_nobody_waits_for_ever() -> None:
    async def run() -> None:
        work = Work(Bulkhead("checkouts", places=1, queue=3, wait_s=0.02))
        first = asyncio.create_task(work.do())
        await settled()

        assert await asyncio.wait_for(work.do(), 5) == "refused"

        work.may_end.set()
        assert await first == "done"

    asyncio.run(run())


def test_a_full_compartment_leaves_the_other_alone() -> None:
    async def run() -> None:
        checkouts = Work(Bulkhead("checkouts", places=1, queue=0, wait_s=1))
        pages = Work(Bulkhead("product pages", places=1, queue=0, wait_s=1))
        busy = asyncio.create_task(checkouts.do())
        await settled()
        pages.may_end.set()

        assert await checkouts.do() == "refused"
        assert await pages.do() == "done"

        checkouts.may_end.set()
        await busy

    asyncio.run(run())


def test_a_place_is_free_again_when_its_work_fails() -> None:
    async def run() -> None:
        bulkhead = Bulkhead("checkouts", places=1, queue=0, wait_s=1)
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                async with bulkhead.place():
                    raise ZeroDivisionError

    asyncio.run(run())


def test_waiting_and_refusing_are_seen_on_the_trace_and_in_the_log() -> None:
    async def run() -> None:
        work = Work(Bulkhead("checkouts", places=1, queue=1, wait_s=0.01))
        first = asyncio.create_task(work.do())
        await settled()

        with a_request_span() as span, structlog.testing.capture_logs() as logs:
            await work.do()

        assert events(span) == ["waiting for a place"]
        assert dict(span.attributes or {}) == {"bulkhead.name": "checkouts", "bulkhead.full": True}
        assert logs == [{"event": "bulkhead full", "bulkhead": "checkouts", "log_level": "warning"}]
        work.may_end.set()
        await first

    asyncio.run(run())
