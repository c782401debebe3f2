"""Keeping a few processes running: start, watch, restart with back-off, stop together."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import IO, Final

from clew_collector.model import record
from clew_server.process import CONFIG_ERROR_STATUS

STOP_TIMEOUT_S: Final = 15.0
_RESTART_WAITS_S: Final = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_STEADY_AFTER_S: Final = 30.0
"""A child that ran this long starts its back-off anew."""
_WATCH_INTERVAL_S: Final = 0.1
_PR_SET_PDEATHSIG: Final = 1


@record
class ChildSpec:
    """A process to keep running. Its output goes to `log_path`, else where ours goes; `fds` stay open in it."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] | None = None
    fds: tuple[int, ...] = ()
    log_path: Path | None = None


class _Child:
    """A spec, its process if it runs, and when to start it again if it does not."""

    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        self.process: subprocess.Popen[bytes] | None = None
        self.started_s = 0.0
        self.restart_at_s: float | None = None
        self.restarts = 0
        self.is_asked_to_restart = False


class Supervisor:
    """Runs children until one cannot go on, or until SIGINT or SIGTERM asks it to stop.

    `say` gets one line for each thing a person should know. Children run in sessions of their own, so that Ctrl-C
    reaches only the supervisor, and on Linux they end when it is killed.
    """

    def __init__(self, *, say: Callable[[str], None], stop_timeout_s: float = STOP_TIMEOUT_S) -> None:
        self._say = say
        self._stop_timeout_s = stop_timeout_s
        self._children: list[_Child] = []
        self._stopping = False
        self._reload: Callable[[], None] | None = None
        self._is_asked_to_reload = False

    def start(self, spec: ChildSpec) -> None:
        """Start a child and keep it running from now on. Does not wait for it to be ready."""
        child = _Child(spec)
        self._children.append(child)
        self._launch(child)

    def stop_on_signals(self) -> None:
        """From now on SIGINT and SIGTERM ask `watch` to return; a second one kills what is left."""
        signal.signal(signal.SIGINT, self._on_signal)
        signal.signal(signal.SIGTERM, self._on_signal)

    def reload_on_hangup(self, reload: Callable[[], None]) -> None:
        """From now on SIGHUP has `watch` call this."""
        self._reload = reload
        signal.signal(signal.SIGHUP, self._on_hangup)

    def restart(self) -> None:
        """Have every child finish what it is doing and start again, without back-off; does not wait for it."""
        for child in self._children:
            if child.process is not None:
                child.is_asked_to_restart = True
                with contextlib.suppress(ProcessLookupError):
                    child.process.terminate()

    @property
    def stopping(self) -> bool:
        """Whether it was asked to stop."""
        return self._stopping

    def pids(self) -> dict[str, int]:
        """Process IDs of the children that run now, by name."""
        return {child.spec.name: child.process.pid for child in self._children if child.process is not None}

    def watch(self, *, until: Callable[[], bool] = lambda: False) -> int:
        """Restart children that die, until asked to stop or `until` holds; blocks.

        Returns 0, or 2 if a child said that its configuration cannot be used.
        """
        while not self._stopping and not until():
            if self._is_asked_to_reload and self._reload is not None:
                self._is_asked_to_reload = False
                self._reload()
            for child in self._children:
                if self._look_after(child) == CONFIG_ERROR_STATUS:
                    return CONFIG_ERROR_STATUS
            time.sleep(_WATCH_INTERVAL_S)
        return 0

    def stop(self) -> None:
        """End all children, the last started first: SIGTERM, and SIGKILL after the timeout. Safe to call twice."""
        self._stopping = True
        running = [child.process for child in reversed(self._children) if child.process is not None]
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        deadline_s = time.monotonic() + self._stop_timeout_s
        for process in running:
            try:
                process.wait(max(0.0, deadline_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for child in self._children:
            child.process = None

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self._stopping:
            for child in self._children:
                if child.process is not None:
                    child.process.kill()
        self._stopping = True

    def _on_hangup(self, _number: int, _frame: FrameType | None) -> None:
        self._is_asked_to_reload = True

    def _look_after(self, child: _Child) -> int | None:
        """Notice that a child died, start it again when its time has come; its exit status if it just died."""
        now_s = time.monotonic()
        if child.process is None:
            if child.restart_at_s is not None and now_s >= child.restart_at_s:
                self._launch(child)
            return None
        status = child.process.poll()
        if status is None:
            return None
        child.process = None
        if child.is_asked_to_restart:
            self._launch(child)
            return None
        if status == CONFIG_ERROR_STATUS:
            return status
        if now_s - child.started_s > _STEADY_AFTER_S:
            child.restarts = 0
        wait_s = _RESTART_WAITS_S[min(child.restarts, len(_RESTART_WAITS_S) - 1)]
        child.restarts += 1
        child.restart_at_s = now_s + wait_s
        self._say(f"{child.spec.name} {_ending(status)}; starting it again in {wait_s:g} s")
        return status

    def _launch(self, child: _Child) -> None:
        spec = child.spec
        child.started_s = time.monotonic()
        child.restart_at_s = None
        child.is_asked_to_restart = False
        output: IO[bytes] | None = None if spec.log_path is None else spec.log_path.open("ab")
        try:
            child.process = subprocess.Popen(
                list(spec.argv),
                env=None if spec.env is None else {**os.environ, **spec.env},
                pass_fds=spec.fds,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=_end_with_parent if sys.platform == "linux" else None,
            )
        finally:
            if output is not None:
                output.close()


def _ending(status: int) -> str:
    if status < 0:
        return f"was killed by {signal.Signals(-status).name}"
    return f"ended with status {status}"


def _end_with_parent() -> None:
    """In the child, before it runs: be terminated when the supervisor dies, even by SIGKILL (prctl(2))."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
