"""What an exception says about itself, as OpenTelemetry's `exception.*` attributes. Nothing here raises."""

import traceback

from clew import fields
from clew.freezing import MAX_TEXT, Frozen, safe_text


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
    """The traceback with its causes, cut in the middle when it is longer than any text may be."""
    try:
        text = "".join(traceback.format_exception(error))
    except Exception:  # noqa: BLE001  (an exception's own __str__, __repr__ or notes)
        return f"<unreadable stack trace of {type_name(type(error))}>"
    if len(text) <= MAX_TEXT:
        return text
    half = MAX_TEXT // 2 - 10
    return f"{text[:half]}\n... cut ...\n{text[-half:]}"
