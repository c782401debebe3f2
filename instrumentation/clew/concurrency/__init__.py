"""The context across threads, processes and greenlets: work takes over the context that it was started in."""

from clew.concurrency import threads
from clew.importing import when_imported


def install() -> None:
    """Let threads, executors and processes take the context along; twice is the same as once."""
    threads.install()
    when_imported("concurrent.futures.thread", threads.install_executor)
    when_imported("concurrent.futures.process", _process_pools)
    when_imported("multiprocessing.process", _processes)
    when_imported("gevent.greenlet", _greenlets)


def _process_pools() -> None:
    from clew.concurrency import processes

    processes.install_executor()


def _processes() -> None:
    from clew.concurrency import processes

    processes.install()


def _greenlets() -> None:
    from clew.concurrency import greenlets

    greenlets.install()
