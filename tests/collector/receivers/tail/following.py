"""A receiver of files that runs in this process, at a hurried pace, on a real spool."""

import asyncio
from collections import Counter as Tally
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from clew_collector.errors import ClewError
from clew_collector.payload import Payload
from clew_collector.receivers.tail import TailConfig, TailReceiver
from clew_collector.receivers.tail.followed import Pace
from clew_collector.spool import Spool
from clew_collector.wire.attributes import plain_value

DEADLINE_S = 30.0
HURRIED = Pace(poll_s=0.01, find_s=0.02, record_over_s=0.2, line_over_s=0.3, file_over_s=0.6)


class Tail:
    """Runs of a receiver, one after the other, over one spool; refuses with `error` while there is one."""

    def __init__(self, folder: Path, **config: Any) -> None:
        self.configs = [TailConfig(**{"paths": [str(folder / "*.log*")], "start_at": "beginning", **config})]
        self.error: ClewError | None = None
        self.refused = 0
        self.counts: Tally[str] = Tally()
        self._spool = Spool(folder / "spool.sqlite")
        self.wall_s = 1_800_000_000.0
        self.stopping = asyncio.Event()

    @property
    def checkpoints(self) -> dict[str, str]:
        return self._spool.checkpoints("tail:")

    @property
    def payloads(self) -> list[ExportLogsServiceRequest]:
        taken = self._spool.take("logs", after_id=-1, max_records=10**9, max_bytes=1 << 40)
        return [ExportLogsServiceRequest.FromString(spooled.body) for spooled in taken]

    @property
    def logs(self) -> list[LogRecord]:
        groups = [group for request in self.payloads for group in request.resource_logs]
        return [log for group in groups for scope in group.scope_logs for log in scope.log_records]

    @property
    def bodies(self) -> list[str]:
        return [log.body.string_value for log in self.logs]

    def run(self, act: Callable[[], Awaitable[None]] | None = None, *, until: Callable[[], bool]) -> None:
        """Follow while `act` acts and until the condition holds."""

        async def run() -> None:
            receiver = TailReceiver(
                self.configs,
                deliver=self._deliver,
                count=self._count,
                checkpoints=self.checkpoints,
                pace=HURRIED,
                wall_s=lambda: self.wall_s,
            )
            self.stopping = asyncio.Event()
            running = asyncio.create_task(receiver.run(self.stopping))
            try:
                if act is not None:
                    acting = asyncio.ensure_future(act())
                    await asyncio.wait({acting, running}, return_when=asyncio.FIRST_COMPLETED)
                    assert acting.done(), f"the receiver ended: {running}"
                    await acting
                await eventually(lambda: running.done() or until())
            finally:
                self.stopping.set()
                await running

        asyncio.run(run())

    def start_once(self) -> None:
        """Run until it knows what is there."""
        self.run(until=lambda: bool(self.checkpoints))

    async def has(self, *bodies: str) -> None:
        """Wait for lines."""
        await eventually(lambda: set(bodies) <= set(self.bodies))

    async def _deliver(self, payload: Payload) -> None:
        if self.error is not None:
            self.refused += 1
            raise self.error
        self._spool.append([payload])

    def _count(self, counter: tuple[str, str, str], count: int) -> None:
        self.counts[f"{counter[0]}: {counter[2]}"] += count


async def eventually(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not is_so():  # noqa: ASYNC110  # what is waited for is a thread's doing
            await asyncio.sleep(0.01)


def attributes_of(log: LogRecord) -> dict[str, Any]:
    return {attribute.key: plain_value(attribute.value) for attribute in log.attributes}


def append(path: Path, text: str | bytes) -> None:
    with path.open("ab") as file:
        file.write(text.encode() if isinstance(text, str) else text)
