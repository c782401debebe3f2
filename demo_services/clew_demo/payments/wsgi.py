"""The process around the Flask app: waitress, and an end in good order."""

import signal
import time

from flask import Flask
from waitress import create_server, wasyncore

from clew_demo.serving import GRACE_S
from clew_demo.settings import HOST

THREADS = 16
"""A payment waits for its provider most of the time."""

LOOK_EVERY_S = 0.05


def serve(app: Flask, *, port: int) -> None:
    """Serve until SIGTERM or SIGINT; requests under way have `GRACE_S` to finish."""
    sockets: dict[int, object] = {}
    server = create_server(app, map=sockets, host=HOST, port=port, threads=THREADS)
    is_told_to_stop = False

    def stop(*_: object) -> None:
        nonlocal is_told_to_stop
        is_told_to_stop = True
        server.pull_trigger()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    while not is_told_to_stop:
        wasyncore.loop(timeout=60, use_poll=True, map=sockets, count=1)

    wasyncore.dispatcher.close(server)  # takes no new requests; `server.close()` closes what wakes the loop as well
    deadline_s = time.monotonic() + GRACE_S
    while time.monotonic() < deadline_s and any(map(_is_busy, server.active_channels.values())):
        wasyncore.loop(timeout=LOOK_EVERY_S, use_poll=True, map=sockets, count=1)
    server.task_dispatcher.shutdown(timeout=0)


def _is_busy(channel: object) -> bool:
    """Whether a connection has a request under way, or an answer that is not sent yet."""
    return bool(getattr(channel, "requests", ()) or getattr(channel, "total_outbufs_len", 0))
