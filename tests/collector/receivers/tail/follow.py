"""Follows a folder into a spool until it is killed: `python -m tests.collector.receivers.tail.follow FOLDER SPOOL`."""

import asyncio
import sys
from pathlib import Path

from clew_collector.group_commit import GroupCommit
from clew_collector.receivers.tail import TailConfig, TailReceiver
from clew_collector.spool import Spool
from tests.collector.receivers.tail.following import HURRIED


async def follow(folder: Path, spool: Spool) -> None:
    config = TailConfig(paths=(str(folder / "*.log*"),), format="plain", multiline="off", start_at="beginning")
    async with GroupCommit(spool) as group_commit:
        receiver = TailReceiver(
            [config],
            deliver=group_commit.deliver,
            count=lambda counter, count: None,
            checkpoints=spool.checkpoints("tail:"),
            pace=HURRIED,
        )
        await receiver.run(asyncio.Event())


if __name__ == "__main__":
    asyncio.run(follow(Path(sys.argv[1]), Spool(Path(sys.argv[2]))))
