"""gevent's greenlets: a spawned one takes over the context, as a thread does."""

import contextvars

from gevent.greenlet import Greenlet

from clew.concurrency.carrying import context_to_carry
from clew.context import CURRENT


def install() -> None:
    """Have gevent tell of each greenlet that starts; twice is the same as once."""
    Greenlet.add_spawn_callback(_carry)


def _carry(greenlet: Greenlet) -> None:
    context = context_to_carry()
    if context is not None and greenlet.gr_context is None:
        # A greenlet has no context variables of its spawner's; it gets the one that matters.
        greenlet.gr_context = contextvars.Context()
        greenlet.gr_context.run(CURRENT.set, context)
