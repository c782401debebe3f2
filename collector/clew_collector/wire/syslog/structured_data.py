"""Structured data of RFC 5424, section 6.3: elements in brackets, each with parameters."""

import re
from typing import Final

Param = tuple[str, str, str]
"""ID of the element, name and value; an element without parameters is one with an empty name and value."""

# Possessive: no text makes these try twice.
_PARAM: Final = r' ++([^\s=\]"]++)="([^"\\]*+(?:\\.[^"\\]*+)*+)"'
_param = re.compile(_PARAM, re.DOTALL)
_element = re.compile(rf'\[([^\s=\]"]++)((?:{_PARAM})*+) *+\]', re.DOTALL)
_escaped = re.compile(r'\\(["\\\]])')


def decode_structured_data(text: str) -> tuple[tuple[Param, ...], str] | None:
    """The parameters at the start of a text, in order, and what is after them; `None` if the text starts otherwise.

    Takes more than the RFC does: names of any length, repeated elements, a bare `]` within a value. A backslash
    before anything but `"`, `\\` and `]` stands for itself, as the RFC has it.
    """
    if text == "-" or text.startswith("- "):
        return (), text[1:]
    params: list[Param] = []
    at = 0
    while (element := _element.match(text, at)) is not None:
        at = element.end()
        id = element[1]
        found = [(id, name, _escaped.sub(r"\1", value)) for name, value in _param.findall(element[2])]
        params += found or [(id, "", "")]
    return (tuple(params), text[at:]) if at else None
