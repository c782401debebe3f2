"""Cutting a connection's bytes into messages: octet counting and lines (RFC 6587, section 3.4)."""

import re
from collections.abc import Callable
from typing import Final

CUT: Final = "rest of a line over the limit"
HALF: Final = "half a frame at the end of a connection"

_END_BYTES: Final = b"\r\n\0"
_START_BYTES: Final = len(b"99999999 <191>")
"""The longest beginning of a frame by which one is known."""

_count = re.compile(rb"([1-9]\d{0,7}) ").match
_counted_message = re.compile(rb"[1-9]\d{0,7} <").match
_may_become_counted = re.compile(rb"(?:[1-9]\d{0,7} ?)?").fullmatch
_may_become_count = re.compile(rb"[1-9]\d{0,7} ?").fullmatch
_next_frame = re.compile(rb"\n|(?=[1-9]\d{0,7} <\d{1,3}>)").search
_ends = re.compile(rb"[\r\n\0]*").match


class Frames:
    """The messages of one connection, as they become whole.

    The first bytes decide: a count and a `<` mean octet counting, all else lines. Lines end with a newline; where the
    first piece ends with a NUL, as from Python's `SysLogHandler`, newlines are part of the message. Where a count is
    wrong (senders count characters where bytes are meant) what stands before the next frame is a message of its own.
    Keeps at most `max_bytes` of a message and calls `drop` with `CUT` or `HALF` for what is not handed on.
    """

    def __init__(self, *, max_bytes: int, drop: Callable[[str], None]) -> None:
        self._max_bytes = max_bytes
        self._drop = drop
        self._rest = b""
        self._searched_bytes = 0
        self._is_counted: bool | None = None
        self._line_end = b""
        self._skip_bytes = 0
        self._skip_line = False

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that these bytes complete, in order. An empty line is none."""
        self._rest = self._rest + data if self._rest else data
        if self._is_counted is None:
            if _counted_message(self._rest) is None and _may_become_counted(self._rest) is not None:
                return []
            self._is_counted = _counted_message(self._rest) is not None
        messages = self._take_counted() if self._is_counted else self._take_lines()
        return [message for message in messages if message.strip(_END_BYTES)]

    @property
    def is_half(self) -> bool:
        """Whether a message has begun that is not whole yet."""
        return bool(self._rest or self._skip_bytes or self._skip_line)

    def end(self) -> list[bytes]:
        """What is left when the sender closes: a last line needs no end, a counted frame that is not whole is lost."""
        rest, self._rest = self._rest, b""
        if not rest or self._skip_line:
            return []
        if self._is_counted and (_count(rest) is not None or _may_become_count(rest) is not None):
            self._drop(HALF)
            return []
        return [self._within_limit(rest)] if rest.strip(_END_BYTES) else []

    def _take_lines(self) -> list[bytes]:
        if not self._line_end and (b"\n" in self._rest or b"\0" in self._rest):
            self._line_end = b"\0" if self._rest.endswith(b"\0") else b"\n"
        if self._line_end == b"\0":
            *lines, rest = self._rest.split(b"\0")
        else:
            *lines, rest = self._rest.replace(b"\0", b"\n").split(b"\n")
        if self._skip_line and lines:
            del lines[0]
            self._skip_line = False
        messages = [self._within_limit(line.lstrip(_END_BYTES)) for line in lines]
        if len(rest) > self._max_bytes and not self._skip_line:
            messages.append(self._within_limit(rest))
            self._skip_line = True
        self._rest = b"" if self._skip_line else rest
        return messages

    def _take_counted(self) -> list[bytes]:
        messages: list[bytes] = []
        at = 0
        while (at := self._start_of_frame(at)) < len(self._rest):
            count = _count(self._rest, at)
            if count is not None:
                length = int(count[1])
                kept = min(length, self._max_bytes)
                if len(self._rest) < count.end() + kept:
                    break
                at = count.end() + kept
                messages.append(self._rest[count.end() : at])
                self._skip_bytes = length - kept
                if self._skip_bytes:
                    self._drop(CUT)
            elif (end := self._end_of_wrong_count(at)) is not None:
                messages.append(self._within_limit(self._rest[at:end]))
                at = end
            else:
                break
        self._rest = self._rest[at:]
        return messages

    def _start_of_frame(self, at: int) -> int:
        """Where the next frame starts: after what is skipped, and after line ends, which some senders add."""
        skipped = min(self._skip_bytes, len(self._rest) - at)
        self._skip_bytes -= skipped
        at += skipped
        ends = _ends(self._rest, at)
        return at if ends is None else ends.end()

    def _end_of_wrong_count(self, at: int) -> int | None:
        """Where the bytes end that are no frame; `None` if that cannot be known yet."""
        if _may_become_count(self._rest, at) is not None:
            return None
        # What comes byte by byte is searched once, not once a byte.
        found = _next_frame(self._rest, at + max(1, self._searched_bytes))
        is_over = len(self._rest) - at > self._max_bytes
        self._searched_bytes = 0 if found or is_over else len(self._rest) - at - _START_BYTES
        if found is not None:
            return found.start()
        return len(self._rest) if is_over else None

    def _within_limit(self, line: bytes) -> bytes:
        if len(line) > self._max_bytes:
            self._drop(CUT)
        return line[: self._max_bytes]
