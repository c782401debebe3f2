"""structlog's chain and output as clew sets them up for a service that has not done so itself."""

import json
import logging
import sys
from collections.abc import Callable, MutableMapping
from typing import Any, Literal

import structlog
from structlog.typing import Processor

from clew.freezing import freeze, freeze_items
from clew.logs.structlog_processor import ClewProcessor

OutputFormat = Literal["console", "json"]


class StderrLogger:
    """Writes each line to whatever `sys.stderr` is at that moment; a stream that is gone loses lines, not requests."""

    __slots__ = ("name",)

    def __init__(self, name: str = "") -> None:
        self.name = name

    def msg(self, message: str) -> None:
        """Write a line, in one piece."""
        try:
            sys.stderr.write(message + "\n")
        except (OSError, ValueError, AttributeError):
            return

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg


def output_format(log_format: str) -> OutputFormat:
    """What "auto" means here: for people when stderr is a terminal, for machines when it is not."""
    if log_format == "auto":
        return "console" if sys.stderr is not None and sys.stderr.isatty() else "json"
    return "console" if log_format == "console" else "json"


def render(output: OutputFormat) -> Processor:
    """The last processor: a line as text. Values that cannot be rendered do not stop the line."""
    if output == "json":
        return structlog.processors.JSONRenderer(serializer=_to_json)
    return _Careful(structlog.dev.ConsoleRenderer(colors=sys.stderr is not None and sys.stderr.isatty()))


def configure_structlog(output: OutputFormat, *, level: int) -> None:
    """Set structlog up from nothing."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.StackInfoRenderer(),
            structlog.dev.set_exc_info,
            ClewProcessor(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            # The console renders exceptions by itself, with their source.
            *([structlog.processors.format_exc_info] if output == "json" else []),
            render(output),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=StderrLoggerFactory(),
        cache_logger_on_first_use=False,
    )


class StderrLoggerFactory:
    """Makes `StderrLogger`s; the first argument of `structlog.get_logger` is the logger's name."""

    def __call__(self, *names: Any) -> StderrLogger:
        """A logger of this name."""
        return StderrLogger(str(names[0]) if names else "")


def is_structlog_ours() -> bool:
    """Whether structlog is as `configure_structlog` has left it."""
    return isinstance(structlog.get_config()["logger_factory"], StderrLoggerFactory)


def join_structlog() -> None:
    """Put the processor before the renderer of whatever chain there is; twice is the same as once.

    In place where that is possible: loggers that were made and cached before keep the list they were made with.
    """
    processors = structlog.get_config()["processors"]
    if any(isinstance(processor, ClewProcessor) for processor in processors):
        return
    if isinstance(processors, list):
        processors.insert(max(0, len(processors) - 1), ClewProcessor())
    else:
        *before, renderer = processors
        structlog.configure(processors=[*before, ClewProcessor(), renderer])


class RootHandler(logging.StreamHandler[Any]):
    """Renders `logging`'s lines like structlog's, with the IDs."""

    def __init__(self, output: OutputFormat) -> None:
        super().__init__()
        self.setFormatter(
            structlog.stdlib.ProcessorFormatter(
                processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render(output)],
                foreign_pre_chain=[
                    structlog.stdlib.add_log_level,
                    structlog.stdlib.add_logger_name,
                    structlog.stdlib.ExtraAdder(),
                    _without_marks,
                    structlog.processors.TimeStamper(fmt="iso", utc=True),
                    structlog.processors.format_exc_info,
                ],
            )
        )


def set_root_handler(output: OutputFormat | None, *, level: int = logging.INFO) -> None:
    """Have exactly one `RootHandler` on the root logger, or none."""
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, RootHandler)]:
        root.removeHandler(handler)
    if output is not None:
        root.addHandler(RootHandler(output))
        root.setLevel(level)


class _Careful:
    """A renderer whose failure (a value's own `__repr__`, say) falls back to plain JSON."""

    def __init__(self, renderer: Callable[..., str]) -> None:
        self._renderer = renderer

    def __call__(self, logger: Any, method_name: str, event_dict: MutableMapping[str, Any]) -> str:
        try:
            # A copy: renderers take out what they have written.
            return self._renderer(logger, method_name, {**event_dict})
        except Exception:  # noqa: BLE001  (any code of the host may run in there)
            return _to_json(event_dict)


def _to_json(values: MutableMapping[str, Any], **_options: Any) -> str:
    try:
        return json.dumps(values, default=freeze, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return json.dumps(freeze_items(values), default=str, ensure_ascii=False)


def _without_marks(_logger: Any, _method_name: str, event_dict: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Lines outside of a request have no IDs instead of empty ones."""
    event_dict.pop("_clew_seen", None)
    for name in ("trace_id", "span_id", "correlation_id"):
        if event_dict.get(name) == "":
            del event_dict[name]
    return event_dict
