"""`filter_path`: which parts of an answer a client wants.

See https://www.elastic.co/docs/reference/elasticsearch/rest-apis/common-options#common-options-response-filtering.
"""

from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, Final

_MAX_PATTERNS: Final = 20
_ANY_DEPTH: Final = "**"
_ABSENT: Final = object()

Patterns = tuple[tuple[str, ...], ...]
"""Each pattern in the parts that it has between its dots."""


def filtered(form: dict[str, Any], filter_path: str) -> dict[str, Any]:
    """The parts of a form that patterns with commas between them name; the whole if there is none.

    A star stands for any part of a name; lists are looked into; what a pattern with `-` before it names is left out.
    Objects of which nothing is left are left out as well. `**` gets the whole, which has what was asked for.
    """
    given = [text.strip() for text in filter_path.split(",")[:_MAX_PATTERNS] if text.strip()]
    if not given or _ANY_DEPTH in filter_path:
        return form
    wanted = tuple(tuple(text.split(".")) for text in given if not text.startswith("-"))
    unwanted = tuple(tuple(text[1:].split(".")) for text in given if text.startswith("-"))
    kept = _only(form, wanted) if wanted else form
    left: dict[str, Any] = {} if kept is _ABSENT else _without(kept, unwanted)
    return left


def _only(form: Any, patterns: Patterns) -> Any:
    if () in patterns:
        return form
    if isinstance(form, list):
        items = [kept for item in form if (kept := _only(item, patterns)) is not _ABSENT]
        return items or _ABSENT
    if not isinstance(form, dict):
        return _ABSENT
    found: dict[str, Any] = {}
    for key, value in form.items():
        rest = _below(patterns, key)
        if rest and (kept := _only(value, rest)) is not _ABSENT:
            found[key] = kept
    return found or _ABSENT


def _without(form: Any, patterns: Patterns) -> Any:
    if not patterns:
        return form
    if isinstance(form, list):
        return [_without(item, patterns) for item in form]
    if not isinstance(form, dict):
        return form
    left: dict[str, Any] = {}
    for key, value in form.items():
        rest = _below(patterns, key)
        if () not in rest:
            left[key] = _without(value, rest)
    return left


# The answer to a thousand documents has the same few names a thousand times.
@lru_cache(maxsize=256)
def _below(patterns: Patterns, key: str) -> Patterns:
    """What is left of the patterns below a name; the empty pattern for one that ends here."""
    return tuple(pattern[1:] for pattern in patterns if pattern and fnmatchcase(key, pattern[0]))
