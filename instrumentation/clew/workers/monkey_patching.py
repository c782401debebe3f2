"""gevent's monkey patching after `configure()`: the export thread was a real one until then, and becomes a greenlet.

A real thread that meets patched sockets and locks makes an event loop of its own in the middle of its work, and can
stand still with the main one while both import what that needs.
"""

import queue
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Final

from clew.clients.wrapping import AnyFunction, wrap
from clew.importing import when_imported

Pausing = Callable[[], AbstractContextManager[None]]

_EXPORTING: Final = "clew.exporting."


def install(pausing: Pausing) -> None:
    """Patch inside of `pausing()`: it ends the export thread and starts one anew."""
    when_imported("gevent.monkey", partial(_watch, pausing))


def _watch(pausing: Pausing) -> None:
    monkey: Any = sys.modules["gevent.monkey"]
    wrap(monkey, "patch_all", partial(_around_patch_all, monkey, pausing))


def _around_patch_all(monkey: Any, pausing: Pausing, original: AnyFunction) -> AnyFunction:
    def patch_all(*args: Any, **kwargs: Any) -> Any:
        if monkey.is_module_patched("threading"):
            return original(*args, **kwargs)
        before = queue.SimpleQueue, time.sleep
        with pausing():
            patched = original(*args, **kwargs)
            _take_over_names(dict(zip(before, (queue.SimpleQueue, time.sleep), strict=True)))
        return patched

    return patch_all


def _take_over_names(patched: dict[Any, Any]) -> None:
    """Let the exporter's modules, which have imported these names, have the patched ones."""
    for name, module in list(sys.modules.items()):
        if name.startswith(_EXPORTING):
            for key, value in list(vars(module).items()):
                if value is not None and any(value is original for original in patched):
                    setattr(module, key, patched[value])
