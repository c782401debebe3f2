"""Servers whose workers would end without a flush, or that wait for workers.

ASGI apps flush in their lifespan (`clew.frameworks.lifespan`), and what ends like a script does so by `atexit`. The
rest is here.
"""

import importlib
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from clew.clients.wrapping import AnyFunction, wrap
from clew.importing import when_imported
from clew.workers.ending import ENDING

_SUPERVISORS: Final = (
    ("gunicorn.arbiter", "Arbiter", "run"),
    ("uvicorn.supervisors.multiprocess", "Multiprocess", "run"),
    ("uvicorn.supervisors.basereload", "BaseReload", "run"),
    ("granian.server.common", "AbstractServer", "serve"),
)
"""Where processes wait for their workers: module, class, method."""


def install() -> None:
    """Wrap what is imported already, and what will be; twice is the same as once."""
    when_imported("uvicorn.server", _uvicorn)
    when_imported("hypercorn.run", _hypercorn)
    for place in _SUPERVISORS:
        when_imported(place[0], _SUPERVISE[place])


def _uvicorn() -> None:
    wrap(sys.modules["uvicorn.server"].Server, "shutdown", _around_shutdown)


def _around_shutdown(original: AnyFunction) -> AnyFunction:
    async def shutdown(self: Any, *args: Any, **kwargs: Any) -> Any:
        """It dies by the signal that it was sent after this, and an app without a lifespan has not flushed."""
        try:
            return await original(self, *args, **kwargs)
        finally:
            from clew.frameworks.lifespan import flush_before_exit

            await flush_before_exit()

    return shutdown


def _hypercorn() -> None:
    module: Any = sys.modules["hypercorn.run"]
    wrap(module, "run", _around_supervising)


def _supervise(module: str, owner: str, method: str) -> None:
    wrap(getattr(importlib.import_module(module), owner), method, _around_supervising)


def _around_supervising(original: AnyFunction) -> AnyFunction:
    def supervise(*args: Any, **kwargs: Any) -> Any:
        ENDING.comes_after_workers()
        return original(*args, **kwargs)

    return supervise


_SUPERVISE: Final[dict[tuple[str, str, str], Callable[[], None]]] = {
    place: partial(_supervise, *place) for place in _SUPERVISORS
}
"""Made once: `when_imported` knows a call that waits already by its identity."""
