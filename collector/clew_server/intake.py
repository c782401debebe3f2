"""The intake process: receivers and the spool. Run by the supervisor with its listening socket."""

import socket
import sys

from clew_collector.config import CollectorConfig
from clew_collector.group_commit import GroupCommit
from clew_collector.receivers.otlp_http import OtlpHttpReceiver
from clew_collector.spool import Spool
from clew_server.process import configure_logging, exit_on_config_error, read_arguments, run_async, serve


async def take_payloads(config: CollectorConfig, listening: socket.socket) -> None:
    """Answer senders until asked to stop; what was acknowledged is on disk by then."""
    spool = Spool(config.spool_path, max_bytes=config.max_spool_bytes)
    async with GroupCommit(spool) as commits:
        receiver = OtlpHttpReceiver(commits.deliver, count=commits.count, max_body_bytes=config.max_body_bytes)
        await serve(receiver, listening)
    spool.close()


def main() -> None:
    """`python -m clew_server.intake CONFIG_JSON SOCKET_FD`."""
    configure_logging()
    config, listening = read_arguments(sys.argv)
    with exit_on_config_error():
        run_async(take_payloads(config, listening))


if __name__ == "__main__":
    main()
