"""Cutting a file's bytes into lines."""

from codecs import lookup
from typing import Final

from clew_collector.model import record

_WIDTHS: Final = {"utf-16-le": 2, "utf-16-be": 2, "utf-32-le": 4, "utf-32-be": 4}


@record
class CutLine:
    """A line without its end, in UTF-8, and how many of the bytes that it was cut from it and all before it are.

    `is_cut`: it was longer than is kept; the rest of it follows.
    """

    data: bytes
    end: int
    is_cut: bool = False


class Cutter:
    """Cuts chunks of files in one encoding into lines of at most `max_bytes`. Keeps nothing of a chunk."""

    def __init__(self, *, encoding: str, max_bytes: int) -> None:
        name = lookup(encoding).name
        width = _WIDTHS.get(name, 1)
        self._encoding = None if name in ("utf-8", "ascii") else encoding
        self._newline = "\n".encode(encoding)
        self._width = width
        self._nul = b"\0" * width
        self._max_bytes = max_bytes - max_bytes % width

    def skip(self, chunk: bytes) -> int | None:
        """Where the rest of a line ends that a chunk begins with; `None` if not in this chunk."""
        found = self._find(chunk, 0)
        return None if found < 0 else found + self._width

    def cut(self, chunk: bytes) -> list[CutLine]:
        """The lines of a chunk that have an end, or are too long; NULs before them are left out.

        Empty lines are among them. What follows the last one has no end yet.
        """
        lines: list[CutLine] = []
        start = 0
        while True:
            found = self._find(chunk, start)
            end = len(chunk) - len(chunk) % self._width if found < 0 else found
            begin = self._after_nuls(chunk, start, end)
            if end - begin > self._max_bytes:
                cut = begin + self._max_bytes
                lines.append(CutLine(self._utf8(chunk[begin:cut]), cut, is_cut=True))
                return lines
            if found < 0:
                return lines
            start = found + self._width
            lines.append(CutLine(self._utf8(chunk[begin:end]), start))

    def last(self, rest: bytes) -> bytes:
        """A last line that has no end, and will get none."""
        return self._utf8(rest[self._after_nuls(rest, 0, len(rest)) :])[: self._max_bytes]

    def nuls(self, chunk: bytes) -> int:
        """How many bytes of NUL a chunk begins with: where a file was cut back under a writer that went on."""
        return self._after_nuls(chunk, 0, len(chunk))

    def _utf8(self, data: bytes) -> bytes:
        if self._encoding is None:
            return data
        return data.decode(self._encoding, errors="backslashreplace").encode(errors="backslashreplace")

    def _after_nuls(self, chunk: bytes, start: int, end: int) -> int:
        if chunk[start : start + self._width] != self._nul:
            return start
        stripped = chunk[start:end].lstrip(b"\0")
        skipped = end - start - len(stripped)
        return start + skipped - skipped % self._width

    def _find(self, chunk: bytes, start: int) -> int:
        found = chunk.find(self._newline, start)
        while found % self._width and found >= 0:
            found = chunk.find(self._newline, found + 1)
        return found
