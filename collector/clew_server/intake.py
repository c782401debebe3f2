"""The intake process: receivers and the spool. Run by the supervisor with its listening sockets."""

import asyncio
import sys
from collections.abc import Mapping

from clew_collector.config import CollectorConfig
from clew_collector.group_commit import GroupCommit
from clew_collector.keys import Keys
from clew_collector.spool import Spool
from clew_server.descriptors import allow_descriptors
from clew_server.listeners import LISTENERS, Intake
from clew_server.own_telemetry import observe_itself
from clew_server.process import (
    configure_logging,
    exit_on_config_error,
    read_arguments,
    run_async,
    stopping_on_signals,
)
from clew_server.readers import readers
from clew_server.sockets import Sockets


async def take_payloads(config: CollectorConfig, sockets: Mapping[str, Sockets]) -> None:
    """Answer senders until asked to stop; what was acknowledged is on disk by then."""
    stopping = stopping_on_signals()
    limits = config.spool
    spool = Spool(config.spool_path, max_bytes=limits.max_bytes, reserve_bytes=limits.reserve_bytes)
    checkpoints = spool.checkpoints("")
    async with GroupCommit(spool) as commits:
        intake = Intake(config=config, commits=commits, stopping=stopping, keys=Keys(config.keys))
        reading = list(readers(config, commits, checkpoints=checkpoints, stopping=stopping))
        # If one receiver fails, all end, and the supervisor starts the process again.
        async with asyncio.TaskGroup() as receiving:
            for listener in LISTENERS:
                if listener.name in sockets:
                    receiving.create_task(listener.receive(intake, sockets[listener.name]), name=listener.name)
            for name, running in reading:
                receiving.create_task(running, name=name)
    spool.close()


def main() -> None:
    """`python -m clew_server.intake CONFIG_FD NAME=SOCKET_FD[,SOCKET_FD]...`."""
    configure_logging()
    allow_descriptors()
    observe_itself("intake")
    config, sockets = read_arguments(sys.argv)
    with exit_on_config_error():
        run_async(take_payloads(config, sockets))


if __name__ == "__main__":
    main()
