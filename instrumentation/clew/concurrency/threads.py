"""Threads and thread pools.

A thread runs in the context of its `start()`, and so do a `Timer` and a subclass with a `run` of its own. A pool's job
runs in the context of its `submit()`; the pool's threads have none between jobs.
"""

import sys
import threading
from concurrent.futures import Future
from typing import Any, Final

from opentelemetry.context.context import Context

from clew.clients.wrapping import AnyFunction, wrap
from clew.concurrency.carrying import context_to_carry, run_in, run_outside
from clew.context import CURRENT

_CARRIED: Final = "_clew_context"


def install() -> None:
    """Wrap threads, and the callbacks of futures; twice is the same as once."""
    wrap(threading.Thread, "start", _around_start)
    # Not `run`: a subclass has its own.
    wrap(threading.Thread, "_bootstrap_inner", _around_bootstrap)
    wrap(Future, "add_done_callback", _around_add_done_callback)


def install_executor() -> None:
    """Wrap thread pools; twice is the same as once."""
    from concurrent.futures import ThreadPoolExecutor

    wrap(ThreadPoolExecutor, "submit", _around_submit)


def _around_start(original: AnyFunction) -> AnyFunction:
    def start(self: threading.Thread) -> Any:
        context = context_to_carry()
        if context is not None:
            self.__dict__[_CARRIED] = context
        return original(self)

    return start


def _around_bootstrap(original: AnyFunction) -> AnyFunction:
    def _bootstrap_inner(self: threading.Thread) -> Any:
        context: Context | None = self.__dict__.pop(_CARRIED, None)
        if context is not None:
            CURRENT.set(context)
        return original(self)

    return _bootstrap_inner


def _around_submit(original: AnyFunction) -> AnyFunction:
    def submit(self: Any, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        context = context_to_carry()
        if context is None or _is_of_interpreters(self):
            return original(self, fn, *args, **kwargs)
        # It may start a thread of the pool, which must not keep this request's context for good.
        return run_outside(original, self, run_in, context, fn, *args, **kwargs)

    return submit


def _around_add_done_callback(original: AnyFunction) -> AnyFunction:
    def add_done_callback(self: Any, fn: Any) -> Any:
        context = context_to_carry()
        if context is None:
            return original(self, fn)
        return original(self, lambda future: run_in(context, fn, future))

    return add_done_callback


def _is_of_interpreters(executor: object) -> bool:
    """Whether it is Python 3.14's pool of interpreters: a thread pool by its class, but its jobs are pickled."""
    module = sys.modules.get("concurrent.futures.interpreter")
    return module is not None and isinstance(executor, module.InterpreterPoolExecutor)
