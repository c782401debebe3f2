"""What an exception says about itself, as OpenTelemetry's `exception.*` attributes. Nothing here raises."""

import traceback
from collections.abc import Mapping
from typing import Any

from clew import fields
from clew.freezing import MAX_TEXT, Frozen, freeze, safe_text


def type_name(error_type: type[BaseException]) -> str:
    """An exception's type: `module.Name`, or `Name` alone for built-in ones."""
    module = error_type.__module__
    return error_type.__qualname__ if module in ("builtins", "__main__") else f"{module}.{error_type.__qualname__}"


def exception_attributes(error: BaseException) -> dict[str, Frozen]:
    """Type, message and stack trace. Formatted now: a kept traceback would keep every local variable alive."""
    return {
        fields.EXCEPTION_TYPE: type_name(type(error)),
        fields.EXCEPTION_MESSAGE: safe_text(error),
        fields.EXCEPTION_STACKTRACE: stack_trace(error),
    }


def stack_trace(error: BaseException) -> str:
    """The traceback with its causes and a group's parts, cut in the middle when it is longer than any text may be."""
    try:
        text = "".join(traceback.format_exception(error))
    except Exception:  # noqa: BLE001  (an exception's own __str__, __repr__ or notes)
        return f"<unreadable stack trace of {type_name(type(error))}>"
    if len(text) <= MAX_TEXT:
        return text
    half = MAX_TEXT // 2 - 10
    return f"{text[:half]}\n... cut ...\n{text[-half:]}"


def described_by(rendered: object) -> dict[str, Frozen]:
    """The same attributes of an exception that somebody has rendered before: as text, or as structlog's
    `dict_tracebacks` do."""
    if isinstance(rendered, str):
        return _from_text(rendered)
    try:
        return _from_dicts(rendered)
    except (TypeError, KeyError, IndexError, AttributeError):
        return {"exception": freeze(rendered)}


def _from_text(rendered: str) -> dict[str, Frozen]:
    """Type and message are on the last line."""
    last = rendered.rstrip().rpartition("\n")[2]
    kind, _, text = last.partition(": ")
    described: dict[str, Frozen] = {fields.EXCEPTION_STACKTRACE: freeze(rendered)}
    if kind.replace(".", "").replace("_", "").isalnum():
        described[fields.EXCEPTION_TYPE] = kind
        described[fields.EXCEPTION_MESSAGE] = text
    return described


def _from_dicts(stacks: Any) -> dict[str, Frozen]:
    """The exception comes first, then what it was raised from; a stack trace has them the other way round."""
    shown = [_stack_text(stack) for stack in reversed(stacks)]
    return {
        fields.EXCEPTION_TYPE: safe_text(stacks[0]["exc_type"]),
        fields.EXCEPTION_MESSAGE: safe_text(stacks[0]["exc_value"]),
        fields.EXCEPTION_STACKTRACE: "\n".join(shown)[:MAX_TEXT],
    }


def _stack_text(stack: Mapping[str, Any]) -> str:
    frames = [
        f'  File "{frame["filename"]}", line {frame["lineno"]}, in {frame["name"]}\n' for frame in stack["frames"]
    ]
    return f"Traceback (most recent call last):\n{''.join(frames)}{stack['exc_type']}: {stack['exc_value']}\n"
