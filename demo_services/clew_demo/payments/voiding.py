"""Voids that could not be done at once, tried again until they are."""

import threading

import structlog

from clew_demo.payments.cashier import Cashier

EVERY_S = 2.0

log = structlog.get_logger()


class Voiding:
    """A thread that asks for what is due. It ends with `stop()`."""

    def __init__(self, cashier: Cashier, *, every_s: float = EVERY_S) -> None:
        self._cashier = cashier
        self._every_s = every_s
        self._is_stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="voiding", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, after the void that is under way. Waits for it."""
        self._is_stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_stopped.wait(self._every_s):
            try:
                self._cashier.void_all_due()
            except Exception:  # the top of a thread: the next round may do better
                log.exception("voiding failed")
