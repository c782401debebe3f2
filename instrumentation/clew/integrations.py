"""The libraries that clew instruments by itself, once they are imported. A new one is a function and a line here."""

from collections.abc import Callable
from typing import Final, NamedTuple

from clew.importing import when_imported
from clew.settings import Settings


class Integration(NamedTuple):
    """A library, by the module whose import switches its instrumentation on."""

    name: str
    """What `instrumentations` and `disabled_instrumentations` call it; OpenTelemetry's name, where it has one."""

    module: str
    install: Callable[[], None]
    """Called after the module was imported; twice is the same as once. Asks `RUNTIME.enabled` at each call."""


def install(settings: Settings) -> None:
    """Instrument what is imported already, and what will be."""
    for integration in INTEGRATIONS:
        if is_wanted(integration.name, settings):
            when_imported(integration.module, integration.install)


def is_wanted(name: str, settings: Settings) -> bool:
    """Whether the settings ask for a library and do not forbid it."""
    wanted = settings.instrumentations
    return ("all" in wanted or name in wanted) and name not in settings.disabled_instrumentations


def _httpx() -> None:
    from clew.clients import httpx

    httpx.install()


INTEGRATIONS: Final = (Integration("httpx", "httpx", _httpx),)
