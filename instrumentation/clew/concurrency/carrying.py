"""What goes along into a thread, and how it gets back out of one that others use after it.

Only OpenTelemetry's context goes along, not every context variable: those of Flask, Django or a database session are
kept out of threads on purpose.
"""

from collections.abc import Callable
from typing import Any

from opentelemetry.context.context import Context

from clew.context import CURRENT, restore
from clew.runtime import RUNTIME


def context_to_carry() -> Context | None:
    """The context that work started now takes over; None when there is none, or nobody wants that."""
    context = CURRENT.get()
    return context if context and RUNTIME.enabled and RUNTIME.settings.propagate_to_threads else None


def run_in(context: Context, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Call a function in a context; this thread's own one is back afterwards."""
    token = CURRENT.set(context)
    try:
        return function(*args, **kwargs)
    finally:
        restore(token)


def run_outside(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Call a function that starts what outlives this request, such as a pool's threads: in no request's context."""
    return run_in(Context(), function, *args, **kwargs)
