"""Something done again and again beside the requests of a process."""

import threading
from collections.abc import Callable

import structlog

log = structlog.get_logger()


class Repeating:
    """Work that is done at once, and then every `interval_s`, in a thread of its own."""

    def __init__(self, work: Callable[[], None], *, interval_s: float) -> None:
        self._work = work
        self._interval_s = interval_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, once the work under way is done. Twice is safe."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._work()
            except Exception:
                log.exception("repeated work failed")
            self._stopping.wait(self._interval_s)
