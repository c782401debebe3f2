import asyncio
from pathlib import Path

import pytest

from clew_collector.errors import SpoolFull
from clew_collector.group_commit import GroupCommit
from clew_collector.payload import Payload, digest_of
from clew_collector.spool import Series, Spool


def a_payload(number: int, size: int = 100) -> Payload:
    body = b"%d" % number * size
    return Payload(signal="logs", body=body, records=1, digest=digest_of("logs", body))


def test_every_payload_is_on_disk_when_its_sender_is_answered(tmp_path: Path) -> None:
    async def send_many() -> list[int]:
        async with GroupCommit(Spool(tmp_path / "spool")) as commits:
            other = Spool(tmp_path / "spool")  # sees only what is committed

            async def send(number: int) -> int:
                await commits.deliver(a_payload(number))
                return other.depth().payloads

            return await asyncio.gather(*map(send, range(50)))

    seen = asyncio.run(send_many())

    assert len(seen) == 50
    assert min(seen) >= 1
    assert Spool(tmp_path / "spool").depth().payloads == 50


def test_a_sender_is_told_whether_its_payload_was_new(tmp_path: Path) -> None:
    async def send_again() -> list[bool]:
        async with GroupCommit(Spool(tmp_path / "spool")) as commits:
            await commits.deliver(a_payload(1))
            return await asyncio.gather(*(commits.deliver(a_payload(number)) for number in (0, 1, 2)))

    assert asyncio.run(send_again()) == [True, False, True]


def test_all_senders_of_a_group_that_failed_are_told(tmp_path: Path) -> None:
    async def send_many() -> list[bool | BaseException]:
        async with GroupCommit(Spool(tmp_path / "spool", max_bytes=50_000)) as commits:
            return await asyncio.gather(
                *(commits.deliver(a_payload(n, size=60_000)) for n in range(3)), return_exceptions=True
            )

    results = asyncio.run(send_many())

    assert all(isinstance(result, SpoolFull) for result in results)


def test_a_sender_that_left_does_not_hurt_the_others_and_its_payload_is_kept(tmp_path: Path) -> None:
    async def send_two() -> None:
        async with GroupCommit(Spool(tmp_path / "spool")) as commits:
            leaving = asyncio.create_task(commits.deliver(a_payload(1)))
            staying = asyncio.create_task(commits.deliver(a_payload(2)))
            await asyncio.sleep(0)
            leaving.cancel()
            await staying

    asyncio.run(send_two())

    assert Spool(tmp_path / "spool").depth().payloads == 2


@pytest.mark.parametrize("payloads", [0, 1])
def test_counts_are_written_with_payloads_and_without(tmp_path: Path, payloads: int) -> None:
    async def count() -> None:
        async with GroupCommit(Spool(tmp_path / "spool")) as commits:
            commits.count(Series("refused", "logs", "bad payload"), 2)
            for number in range(payloads):
                await commits.deliver(a_payload(number))

    asyncio.run(count())

    assert Spool(tmp_path / "spool").counters()[Series("refused", "logs", "bad payload")] == 2
