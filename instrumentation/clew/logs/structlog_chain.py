"""structlog's chain of processors: set up from nothing, or joined wherever the service has set up its own."""

from collections.abc import Iterable
from typing import Any

import structlog
from structlog.testing import LogCapture

from clew.logs.output import write_line
from clew.logs.structlog_processor import ClewProcessor, ClewRenderer


class StderrLogger:
    """Writes each line to whatever `sys.stderr` is at that moment; a stream that is gone loses lines, not requests."""

    __slots__ = ("name",)

    def __init__(self, name: str = "") -> None:
        self.name = name

    def msg(self, message: str) -> None:
        """Write a line, in one piece."""
        write_line(message)

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg


class StderrLoggerFactory:
    """Makes `StderrLogger`s; the first argument of `structlog.get_logger` is the logger's name."""

    def __call__(self, *names: Any) -> StderrLogger:
        """A logger of this name."""
        return StderrLogger(str(names[0]) if names else "")


def configure_structlog(*, level: int) -> None:
    """Set structlog up from nothing; the format is that of `OUTPUT`."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.StackInfoRenderer(),
            structlog.dev.set_exc_info,
            ClewRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=StderrLoggerFactory(),
        cache_logger_on_first_use=False,
    )


def is_structlog_ours() -> bool:
    """Whether structlog is as `configure_structlog` has left it."""
    return any(isinstance(processor, ClewRenderer) for processor in structlog.get_config()["processors"])


def join_structlog() -> None:
    """Put the processor before the renderer of the chain there is; twice is the same as once.

    In place where that is possible: loggers that were made and cached before keep the list they were made with.
    """
    processors = structlog.get_config()["processors"]
    if not isinstance(processors, list):
        structlog.configure(processors=joined(processors))
    elif needs_joining(processors):
        processors.insert(max(0, len(processors) - 1), ClewProcessor())


def watch_structlog() -> None:
    """Join each chain that the service sets up from now on, by whatever name it knows `structlog.configure`.

    All ways lead to one object, which gets a class that joins what it is given. Twice is as once.
    """
    config = getattr(structlog._config, "_CONFIG", None)
    if config is None or getattr(type(config), "joins", False):
        return

    class Joining(type(config)):  # type: ignore[misc]
        joins = True

        def __setattr__(self, name: str, value: Any) -> None:
            super().__setattr__(name, joined(value) if name == "default_processors" else value)

    config.__class__ = Joining


def joined(processors: Iterable[Any]) -> Iterable[Any]:
    """A chain with the processor in it: a new list, since the service may use its own one elsewhere too."""
    if not isinstance(processors, (list, tuple)):
        processors = list(processors)
    if not needs_joining(processors):
        return processors
    return [*processors[:-1], ClewProcessor(), *processors[-1:]]


def needs_joining(processors: "list[Any] | tuple[Any, ...]") -> bool:
    """Whether there is no processor of ours yet. `structlog.testing` must capture lines as the service wrote them."""
    return not any(isinstance(processor, (ClewProcessor, LogCapture)) for processor in processors)
