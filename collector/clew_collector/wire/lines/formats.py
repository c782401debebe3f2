"""The formats that lines of a file can have."""

from collections.abc import Callable, Mapping
from typing import Final, Literal

from clew_collector.wire.lines.access_log import decode_access
from clew_collector.wire.lines.error_log import decode_error
from clew_collector.wire.lines.json_line import decode_json
from clew_collector.wire.lines.line import DecodedLine, Reading
from clew_collector.wire.lines.logfmt import decode_logfmt, decode_mostly_logfmt
from clew_collector.wire.lines.plain import decode_plain

Format = Literal["auto", "json", "logfmt", "nginx", "apache", "plain"]

Decode = Callable[[str, Reading], DecodedLine | None]
"""Reads a line, or says by `None` that it is of another format."""

# In the order in which they are tried; what none of them can read is plain.
_DECODERS: Final[Mapping[Format, tuple[Decode, ...]]] = {
    "auto": (decode_json, decode_mostly_logfmt, decode_access, decode_error),
    "json": (decode_json,),
    "logfmt": (decode_logfmt,),
    "nginx": (decode_access, decode_error),
    "apache": (decode_access, decode_error),
    "plain": (),
}


def decode_line(text: str, format: Format, reading: Reading) -> DecodedLine:
    """A line, or several that are one record, without its line end. Any text is one."""
    for decode in _DECODERS[format]:
        if (line := decode(text, reading)) is not None:
            return line
    return decode_plain(text, reading)
