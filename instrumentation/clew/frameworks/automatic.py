"""Every app of the known frameworks followed without a line in the service: what `clew run` switches on."""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from clew.clients.wrapping import AnyFunction, wrap
from clew.frameworks.instrumenting import FRAMEWORKS, Framework, instrument
from clew.importing import when_imported


def install() -> None:
    """Instrument each app that is made from now on, as its framework is imported; twice is the same as once.

    An app that the service instruments itself is followed once, too.
    """
    for module, then in _HOOKS:
        when_imported(module, then)


def _instrument_class(framework: Framework) -> None:
    owner = framework.owner()
    if owner is None:
        return
    try:
        own = framework.load()
        if hasattr(own, "instrument_class"):
            own.instrument_class(owner)
        else:
            wrap(owner, "__init__", _around_init)
    except Exception as error:  # noqa: BLE001  (in the middle of the service's import; it has to go on)
        _warn(framework.import_name, error)


def _around_init(original: AnyFunction) -> AnyFunction:
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        original(self, *args, **kwargs)
        try:
            instrument(self)
        except Exception as error:  # noqa: BLE001  (the service did not ask for it, and has to go on)
            _warn(type(self).__qualname__, error)

    return __init__


def _warn(what: str, error: Exception) -> None:
    logging.getLogger("clew").warning("%s cannot be instrumented: %s: %s", what, type(error).__name__, error)


_HOOKS: Final[tuple[tuple[str, Callable[[], None]], ...]] = tuple(
    (framework.import_name, partial(_instrument_class, framework)) for framework in FRAMEWORKS
)
"""Made once: `when_imported` knows a call again by the function."""
